package msgraph

import (
	"errors"
	"fmt"
	"strings"
)

// CheckLink says why a link that an answer gave would not be called as part of
// the resource; nil: it would be. It calls nobody. A source that keeps a link for
// later uses it to refuse a wrong one at once. A path alone is no link.
func (c *Client) CheckLink(res Resource, link string) error {
	if res >= numResources || c.bases[res] == nil {
		return fmt.Errorf("cloud %s has no %s service", c.o.Cloud.Name, res)
	}
	if strings.HasPrefix(link, "/") {
		return errors.New("link is not an https URL")
	}
	_, err := c.locate(res, link)
	return err
}
