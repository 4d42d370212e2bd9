// Package pages renders the HTML that a person sees instead of the site: the
// device is blocked, the gateway cannot decide, a sign-in is missing, or the
// request itself is wrong.
//
// The pages are plain HTML and one inline style: no script, no picture, no font
// and no request to anywhere. The Content-Security-Policy therefore forbids
// everything but that style, which it names by its SHA-256. The hash needs no
// randomness and is the same for every answer.
//
// The pages never reload themselves. A timed reload takes the page away from
// people who read slowly or listen to it (WCAG 2.2.1, failure F41), and many
// open tabs would all come back together in the middle of an outage. "Try
// again" is a plain link.
//
// An operator may put files of the same names as in templates into a directory
// of their own ([Options].Dir); each replaces the built-in one. They are
// html/template files with a [View] as their data. A logo must be inline SVG in
// the markup, because the policy forbids loading one.
//
// Everything that comes from outside (names, settings, paths, messages of a
// policy's author) passes [decision.DisplayText] and then html/template's
// escaping. No value is ever read as a template, nor as a Caddy placeholder.
//
// The package imports the standard library and decision only, never Caddy.
// Start reading at pages.go; view.go turns a decision into what a page shows.
package pages
