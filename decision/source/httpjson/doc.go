// Package httpjson is the information point for any service that answers with
// JSON over HTTPS: a device management system, a threat sensor or an in-house
// inventory. What its answers mean is configuration: a table of normalised field
// names, each with a JSON pointer (RFC 6901) or a CEL expression.
//
// A service is asked for one device (a URL with the id in it), or for all of
// them (a list in pages), or both. Whatever is missing, misspelt or of another
// type is unknown and counted, never compliant. An answer about another device,
// a web page, a redirect, a body that is too large or a list that ends early is
// an error, so that what was known before stays and ages.
//
// The package imports decision, decision/source and CEL. It must never import
// another information point, a policy, or anything that serves HTTP.
//
// Start reading at httpjson.go, then lookup.go and list.go; fields.go lists the
// normalised names, mapping.go fills them, client.go speaks HTTP.
package httpjson
