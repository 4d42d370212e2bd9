package msgraph

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// storageDomains are where the services put what is too large for an answer.
var storageDomains = []string{".blob.core.windows.net", ".blob.core.usgovcloudapi.net", ".blob.core.chinacloudapi.cn"}

// Download fetches a file that an answer of the endpoint names, such as the
// result of an export job. The link itself is the credential: no token is sent,
// and no error repeats it. It must lead to Microsoft's storage, or to where the
// endpoint's service is. limit bounds the file in bytes; 0 is 32 MiB. It is
// tried once: ask for a new link after an error.
func (c *Client) Download(ctx context.Context, ep Endpoint, link string, limit int64) ([]byte, error) {
	u, err := url.Parse(link)
	if err != nil || len(link) > maxLink || u.Scheme != "https" || u.User != nil || ep >= numEndpoints {
		return nil, &Error{Endpoint: ep, Kind: KindAnswer, Message: "link to a file is not an https URL"}
	}
	if !c.mayDownload(ep, u) {
		return nil, &Error{Endpoint: ep, Kind: KindAnswer, Message: "link to a file leads to " + clean(u.Host) + ", not to Microsoft's storage"}
	}
	if limit <= 0 {
		limit = defaultMaxBody
	}
	limited, cancel := context.WithTimeout(ctx, 2*tryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, &Error{Endpoint: ep, Kind: KindAnswer, Message: "link to a file cannot be used"}
	}
	req.Header.Set("User-Agent", "gatehouse")
	start := time.Now()
	body, status, e := c.fetch(req, ep, limit)
	if e != nil && e.cause != nil && ctx.Err() != nil {
		e = ended(ep, ctx.Err(), "no file in time")
	}
	c.observe(ep, status, e, start)
	if e != nil {
		return nil, e
	}
	return body, nil
}

func (c *Client) fetch(req *http.Request, ep Endpoint, limit int64) (body []byte, status int, e *Error) {
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, 0, networkError(ep, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		// What storage says repeats parts of the link: the status must do.
		return nil, resp.StatusCode, failure(ep, resp.StatusCode, resp.Header, nil)
	}
	body, err = readBody(resp, limit)
	if err != nil {
		e = networkError(ep, err)
		e.Status = resp.StatusCode
		return nil, resp.StatusCode, e
	}
	if looksLikePage(body) {
		return nil, resp.StatusCode, wrongAnswer(ep, resp.StatusCode, errPage)
	}
	return body, resp.StatusCode, nil
}

func (c *Client) mayDownload(ep Endpoint, u *url.URL) bool {
	if base := c.bases[ep.Resource()]; base != nil && sameOrigin(u, base) {
		return true
	}
	host := strings.ToLower(u.Hostname())
	for _, domain := range storageDomains {
		if strings.HasSuffix(host, domain) && port(u) == "443" {
			return true
		}
	}
	return false
}
