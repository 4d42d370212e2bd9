package cache

// NegativeLen returns the number of negative entries, expired ones included.
func (c *Cache[K, V]) NegativeLen() int {
	n := 0
	for i := range c.shards {
		_, negatives := c.shards[i].len()
		n += negatives
	}
	return n
}
