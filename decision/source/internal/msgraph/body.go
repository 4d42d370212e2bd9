package msgraph

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

var (
	errTooLarge = errors.New("answer is too large")
	errEncoding = errors.New("answer has a broken or unknown encoding")
	errNotJSON  = errors.New("answer is not JSON")
	errPage     = errors.New("an HTML page: " + notFromService)
)

// readBody reads and decompresses at most limit bytes.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	var r io.Reader = resp.Body
	switch strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding"))) {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(resp.Body)
		if errors.Is(err, gzip.ErrHeader) {
			return nil, errEncoding
		}
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	default:
		return nil, errEncoding
	}
	var b bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= limit {
		b.Grow(int(n) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(r, limit+1))
	if errors.Is(err, gzip.ErrChecksum) {
		return nil, errEncoding
	}
	if n > limit {
		return b.Bytes()[:limit], fmt.Errorf("%w: more than %d bytes", errTooLarge, limit)
	}
	return b.Bytes(), err
}

// checkType refuses a good status with something else than what was asked for.
// A list is not parsed here: its reader does that.
func (p *prepared) checkType(a *Answer) error {
	if len(a.Body) == 0 {
		return nil
	}
	if looksLikePage(a.Body) {
		return errPage
	}
	if strings.HasPrefix(p.Accept, jsonType) && p.check == nil && !json.Valid(a.Body) {
		return errNotJSON
	}
	return nil
}
