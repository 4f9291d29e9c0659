package client

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Config describes a Client. Zero fields mean the default that is named with each.
type Config struct {
	// Endpoints are the URLs of any servers, one at least. "host:port" means
	// "http://host:port". A path in front of that of the interface is kept.
	Endpoints []string
	// TLS is for endpoints with https, which all of them must be if it is set. It is
	// copied. Default: the system's certificates, and none of the client.
	TLS *tls.Config
	// Cluster is the ID of the cluster that all requests are for, in hexadecimal. Servers
	// of another one are passed over. Default: whatever the endpoints are of.
	Cluster string
	// Timeout bounds one try at one server. A watch leaves a server from which
	// nothing came for four times as long. Servers give up after 5 s by default and know
	// more then, so it should be longer. Default 7 s.
	Timeout time.Duration
}

// Validate reports every fault of c, joined. It matches ErrInvalidConfig and changes
// nothing.
func (c *Config) Validate() error {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, fmt.Errorf(field+" "+format, args...))
	}
	if len(c.Endpoints) == 0 {
		fault("Endpoints", "must name a server")
	}
	for i, text := range c.Endpoints {
		e, err := parseEndpoint(text)
		field := fmt.Sprintf("Endpoints[%d]", i)
		switch {
		case err != nil:
			fault(field, "%w", err)
		case c.TLS != nil && e.scheme != "https":
			// Who wants TLS does not want values to go in clear for want of a scheme.
			fault(field, "(%q) must be https, as TLS is set", text)
		}
	}
	if c.Timeout < 0 {
		fault("Timeout", "(%v) must not be negative", c.Timeout)
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, 7*time.Second)
	c.TLS = c.TLS.Clone()
	return c
}

// endpoint is where a server is.
type endpoint struct {
	// base is what the path of a request is put behind.
	base, scheme string
}

func parseEndpoint(text string) (endpoint, error) {
	full := text
	if !strings.Contains(text, "://") {
		full = "http://" + text
	}
	u, err := url.Parse(full)
	if err != nil {
		return endpoint{}, fmt.Errorf("(%q) is not a URL: %w", text, errors.Unwrap(err))
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return endpoint{}, fmt.Errorf("(%q) must be http or https", text)
	case u.Hostname() == "":
		return endpoint{}, fmt.Errorf("(%q) must have a host", text)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return endpoint{}, fmt.Errorf("(%q) must have no user, query or fragment", u.Redacted())
	}
	return endpoint{base: strings.TrimRight(u.String(), "/"), scheme: u.Scheme}, nil
}
