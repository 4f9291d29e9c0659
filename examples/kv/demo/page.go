package demo

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"time"
)

//go:embed page.html
var pageHTML []byte

// pagePolicy lets the page do what it does and nothing else: its own script and style, by
// their hashes, and requests to where it came from.
var pagePolicy = fmt.Sprintf("default-src 'none'; script-src '%s'; style-src '%s'; connect-src 'self'; img-src data:; "+
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'", hashOf("script"), hashOf("style"))

// hashOf returns the hash of the page's only element of a kind, as a policy has it.
func hashOf(element string) string {
	found := regexp.MustCompile(`(?s)<` + element + `>(.*?)</` + element + `>`).FindSubmatch(pageHTML)
	sum := sha256.Sum256(found[1])
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// pageListener serves the page.
type pageListener struct {
	url  string
	http *http.Server
}

func (d *demo) servePage(address string) (*pageListener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("the page: %w", err)
	}
	p := &pageListener{url: "http://" + l.Addr().String() + "/", http: &http.Server{Handler: d.pageHandler(), ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = p.http.Serve(l) }() // ends with close
	return p, nil
}

func (p *pageListener) close() { _ = p.http.Close() }

func (d *demo) pageHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", pagePolicy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		_, _ = w.Write(pageHTML)
	})
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(d.pageState())
	})
	return mux
}
