package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// Client talks to a cluster. Its methods may be called concurrently.
type Client struct {
	cluster   string
	timeout   time.Duration
	http      *http.Client
	endpoints *endpoints

	// life ends with Close, and with it what the client does by itself.
	life  context.Context
	close context.CancelFunc

	mu sync.Mutex
	// idle are sessions that no write uses now, the last used last.
	idle []*Session
}

// New returns a client of the cluster that the endpoints belong to. It does not
// contact it. The error matches ErrInvalidConfig.
func New(config Config) (*Client, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	var configured []endpoint
	for _, text := range config.Endpoints {
		e, _ := parseEndpoint(text) // was validated
		configured = append(configured, e)
	}
	c := &Client{timeout: config.Timeout, cluster: config.Cluster, endpoints: newEndpoints(configured)}
	c.life, c.close = context.WithCancel(context.Background())
	c.http = &http.Client{
		CheckRedirect: c.checkRedirect,
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: config.Timeout, KeepAlive: 15 * time.Second}).DialContext,
			TLSClientConfig:     config.TLS,
			TLSHandshakeTimeout: config.Timeout,
			// As many as there are calls at a time: a connection that is closed for want
			// of room is opened anew by the next call.
			MaxIdleConnsPerHost:    1024,
			IdleConnTimeout:        90 * time.Second,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
	return c, nil
}

// Close ends what the client does by itself, and closes connections that are not in
// use. Calls under way go on. It never fails, and the client may still be used, but does
// not learn of servers any more.
func (c *Client) Close() {
	c.close()
	c.http.CloseIdleConnections()
}

// maxRedirects bounds how often one try is sent on: servers that change their mind
// about the leader could send it in circles.
const maxRedirects = 4

// errRedirect is of a redirect that is not followed. The server that sent it did nothing.
var errRedirect = errors.New("redirect is not followed")

// checkRedirect says whether to follow: 307 and 308, which keep method and body.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	switch req.Response.StatusCode {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return http.ErrUseLastResponse
	}
	if len(via) > maxRedirects || !c.endpoints.allows(req.URL.Scheme) {
		return errRedirect
	}
	return nil
}

// worked is called when a server gave a result. If it is time, that server is asked for
// the members, by a goroutine that ends within the timeout of a try.
func (c *Client) worked(at endpoint) {
	if c.life.Err() != nil || !c.endpoints.due(time.Now()) {
		return
	}
	go func() {
		var m api.Membership
		if c.try(c.life, at, membersRequest(&m)) == nil {
			c.endpoints.learn(m.Members)
		}
	}()
}
