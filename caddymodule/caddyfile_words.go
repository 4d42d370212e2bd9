package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-project/gatehouse/decision/policy"
)

// place is the file and line of the present word.
func place(d *caddyfile.Dispenser) string { return fmt.Sprintf("%s:%d", d.File(), d.Line()) }

// at adds a place to an error as Caddy does, for what is only seen after the
// parser has gone on.
func at(place string, err error) error { return fmt.Errorf("%w, at %s", err, place) }

// placed rewrites the errors of decision/policy, which carry their place in front,
// so that all errors of one Caddyfile look alike.
func placed(err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range many.Unwrap() {
			all = append(all, placed(e))
		}
		return errors.Join(all...)
	}
	var e *policy.Error
	if errors.As(err, &e) && e.Place != "" {
		return at(e.Place, errors.New(e.Msg))
	}
	return err
}

// block walks a nested block, refusing unknown and repeated words. Words in again
// may come more than once.
func block(d *caddyfile.Dispenser, what string, words map[string]func(word string) error, again ...string) error {
	err := nothingMore(d)
	if err != nil {
		return err
	}
	seen, last := map[string]bool{}, what
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		f, ok := words[word]
		if !ok {
			return unknown(d, what, last, sortedKeys(words))
		}
		if seen[word] && !slices.Contains(again, word) {
			return d.Errf("%s is given twice in %s", word, what)
		}
		seen[word], last = true, word
		err := f(word)
		if err != nil {
			return err
		}
	}
	return nil
}

// unknown is the error for the present word; last is the word of the line before.
func unknown(d *caddyfile.Dispenser, what, last string, known []string) error {
	if d.Val() == "{" {
		return d.Errf("%s takes no block in braces here", last)
	}
	return d.Errf("unknown word %q in %s; known: %s", d.Val(), what, strings.Join(known, ", "))
}

// nothingMore refuses a further word on the line.
func nothingMore(d *caddyfile.Dispenser) error {
	if before := d.Val(); d.NextArg() {
		return d.Errf("unexpected word %q after %s", d.Val(), before)
	}
	return nil
}

func value(d *caddyfile.Dispenser, to *string) error {
	word := d.Val()
	if !d.NextArg() {
		return d.Errf("%s needs a value", word)
	}
	if d.Val() == "" {
		return d.Errf("the value of %s is empty", word)
	}
	*to = d.Val()
	return nothingMore(d)
}

func choice(d *caddyfile.Dispenser, to *string, allowed ...string) error {
	word := d.Val()
	err := value(d, to)
	if err != nil {
		return err
	}
	if !slices.Contains(allowed, *to) {
		return d.Errf("%s takes %s, not %q", word, oneOf(allowed), *to)
	}
	return nil
}

// oneOf prints "a", "a or b", "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func values(d *caddyfile.Dispenser, to *[]string) error {
	word, more := d.Val(), d.RemainingArgs()
	if len(more) == 0 {
		return d.Errf("%s needs at least one value", word)
	}
	if slices.Contains(more, "") {
		return d.Errf("a value of %s is empty", word)
	}
	*to = append(*to, more...)
	return nil
}

func duration(d *caddyfile.Dispenser, to *caddy.Duration) error {
	word := d.Val()
	var s string
	err := value(d, &s)
	if err != nil {
		return err
	}
	v, err := caddy.ParseDuration(s)
	if err != nil || v <= 0 {
		return d.Errf("%s: %q is not a duration such as 15m, 4h or 14d", word, s)
	}
	*to = caddy.Duration(v)
	return nil
}

func count(d *caddyfile.Dispenser, to *int) error {
	word := d.Val()
	var s string
	err := value(d, &s)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 {
		return d.Errf("%s: %q is not a positive number", word, s)
	}
	*to = n
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
