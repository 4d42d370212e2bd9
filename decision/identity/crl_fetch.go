package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const crlFetchTime = 30 * time.Second

// crlValidators tell an unchanged source from a new one without reading it.
type crlValidators struct {
	etag, lastModified string // of a URL
	size               int64  // of a file
	modified           time.Time
}

func newCRLClient() (*http.Client, *http.Transport) {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	transport = transport.Clone()
	transport.MaxIdleConns = 2
	return &http.Client{
		Transport: transport,
		Timeout:   crlFetchTime,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return errors.New("too many redirects")
			}
			if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
				return errors.New("redirect to another scheme")
			}
			return nil
		},
	}, transport
}

// fetch reads the source. No data and no error means that it is unchanged.
// commit remembers what was read, once the list has proved good.
func (c *CRL) fetch(ctx context.Context) (data []byte, commit func(), err error) {
	if c.o.File != "" {
		return c.readFile()
	}
	return c.download(ctx)
}

func (c *CRL) readFile() ([]byte, func(), error) {
	f, err := os.Open(c.o.File)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("not a regular file")
	}
	seen := crlValidators{size: info.Size(), modified: info.ModTime()}
	if c.fetched.size == seen.size && c.fetched.modified.Equal(seen.modified) {
		return nil, nil, nil
	}
	data, err := c.readBounded(f)
	return data, func() { c.fetched = seen }, err
}

func (c *CRL) download(ctx context.Context) ([]byte, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, 2*crlFetchTime) // also with a client that has no limit of its own
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.o.URL, nil)
	if err != nil {
		return nil, nil, err
	}
	if c.set.Load() != nil {
		if c.fetched.etag != "" {
			req.Header.Set("If-None-Match", c.fetched.etag)
		}
		if c.fetched.lastModified != "" {
			req.Header.Set("If-Modified-Since", c.fetched.lastModified)
		}
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && c.set.Load() != nil:
		return nil, nil, nil
	case resp.StatusCode != http.StatusOK:
		return nil, nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	data, err := c.readBounded(resp.Body)
	seen := crlValidators{etag: resp.Header.Get("ETag"), lastModified: resp.Header.Get("Last-Modified")}
	return data, func() { c.fetched = seen }, err
}

func (c *CRL) readBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, c.o.MaxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > c.o.MaxBytes:
		return nil, fmt.Errorf("the list is larger than %d bytes", c.o.MaxBytes)
	case len(data) == 0:
		return nil, errors.New("the list is empty")
	}
	return data, nil
}
