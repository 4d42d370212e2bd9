package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// appHeaders are what a browser sends when a page's script calls its server.
var appHeaders = [][2]string{
	{"User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"},
	{"Accept", "application/json"},
	{"Accept-Encoding", "gzip, deflate, br, zstd"},
	{"Accept-Language", "en-GB,en;q=0.9"},
	{"Referer", "https://" + siteName + "/reports"},
	{"Sec-Fetch-Site", "same-origin"},
	{"Sec-Fetch-Mode", "cors"},
	{"Sec-Fetch-Dest", "empty"},
}

func (g *generator) headers() [][2]string {
	if g.Bare {
		return appHeaders[:1]
	}
	return appHeaders
}

// http1 opens a keep-alive connection with the first request. Head and body are
// read by hand: a full client would take as much of the machine as the proxy.
func (g *generator) http1() func(string) (int, error) {
	var conn net.Conn
	var r *bufio.Reader
	var out bytes.Buffer
	return func(token string) (int, error) {
		if conn == nil {
			c, err := net.DialTimeout("tcp", g.Addr, 5*time.Second)
			if err != nil {
				return 0, err
			}
			if g.tls != nil {
				c = tls.Client(c, g.tls)
			}
			conn, r = c, bufio.NewReaderSize(c, 8<<10)
		}
		out.Reset()
		out.WriteString("GET /reports/weekly HTTP/1.1\r\nHost: " + siteName + "\r\n")
		for _, h := range g.headers() {
			out.WriteString(h[0] + ": " + h[1] + "\r\n")
		}
		if token != "" {
			out.WriteString("Authorization: Bearer " + token + "\r\n")
		}
		out.WriteString("\r\n")
		err := conn.SetDeadline(time.Now().Add(10 * time.Second))
		if err != nil {
			return 0, err
		}
		_, err = conn.Write(out.Bytes())
		if err != nil {
			return 0, err
		}
		status, closing, err := readAnswer(r)
		if closing {
			conn.Close()
			conn = nil
		}
		return status, err
	}
}

// readAnswer reads one response with a Content-Length.
func readAnswer(r *bufio.Reader) (status int, closing bool, err error) {
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, true, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case status == 0:
			if len(line) < 12 {
				return 0, true, fmt.Errorf("status line %q", line)
			}
			status, err = strconv.Atoi(string(line[9:12]))
			if err != nil {
				return 0, true, fmt.Errorf("status line %q", line)
			}
		case len(line) == 0:
			if length < 0 {
				return status, true, errors.New("answer without Content-Length")
			}
			_, err = r.Discard(length)
			return status, closing, err
		case bytes.EqualFold(line[:min(len(line), 15)], []byte("Content-Length:")):
			length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:])))
			if err != nil {
				return 0, true, fmt.Errorf("content length %q", line)
			}
		case bytes.EqualFold(line, []byte("Connection: close")):
			closing = true
		}
	}
}

// http2 makes a client with one connection of its own.
func (g *generator) http2() func(string) (int, error) {
	t := &http.Transport{TLSClientConfig: g.tls.Clone(), ForceAttemptHTTP2: true, DisableCompression: true}
	c := &http.Client{Transport: t, Timeout: 10 * time.Second}
	return func(token string) (int, error) {
		req, err := http.NewRequest(http.MethodGet, "https://"+g.Addr+"/reports/weekly", nil)
		if err != nil {
			return 0, err
		}
		req.Host = siteName
		for _, h := range g.headers() {
			req.Header[h[0]] = []string{h[1]}
		}
		if token != "" {
			req.Header["Authorization"] = []string{"Bearer " + token}
		}
		resp, err := c.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		if resp.ProtoMajor != 2 {
			return 0, fmt.Errorf("answered over HTTP/%d", resp.ProtoMajor)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
}
