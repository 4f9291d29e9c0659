package transport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// TLSConfig names the files of a node's identity. They are read again when they
// change. Whoever holds a key whose certificate the CA signed for a node's name
// is that node; use a CA that signs nothing else.
type TLSConfig struct {
	// CertFile and KeyFile hold, as PEM, the node's certificate with its
	// intermediates, and its key. The certificate is used at both ends of
	// connections: if it has extended key usages, both serverAuth and clientAuth
	// must be among them. It must have the name PeerName(NodeID) as DNS SAN;
	// one with a wildcard is every node whose name that matches.
	CertFile, KeyFile string
	// CAFile holds, as PEM, the certificates that sign those of peers.
	CAFile string
	// PeerName returns the DNS name that the certificate of a node must have.
	// Default: "node-<id>", the ID in decimal.
	PeerName func(id uint64) string
	// ReloadInterval is how often the files are looked at. When the CA file has
	// changed, or a peer's certificate has expired, connections whose certificates
	// do not verify any more are closed. A file that cannot be used is logged and
	// leaves what was read before in force. Default 10 s.
	ReloadInterval time.Duration
}

func (c TLSConfig) withDefaults() TLSConfig {
	setDefault(&c.ReloadInterval, 10*time.Second)
	if c.PeerName == nil {
		c.PeerName = func(id uint64) string { return "node-" + strconv.FormatUint(id, 10) }
	}
	return c
}

func (c *TLSConfig) faults(fault func(bad bool, format string, args ...any)) {
	fault(c.CertFile == "", "TLS.CertFile must be set")
	fault(c.KeyFile == "", "TLS.KeyFile must be set")
	fault(c.CAFile == "", "TLS.CAFile must be set")
	fault(c.ReloadInterval <= 0, "TLS.ReloadInterval (%v) must be positive", c.ReloadInterval)
}

// credentials are what the files hold now. A nil *credentials means plain TCP.
type credentials struct {
	cfg TLSConfig

	mu    sync.Mutex
	files [3][]byte // as they were last used
	cert  tls.Certificate
	pool  *x509.CertPool
}

func loadCredentials(cfg *TLSConfig) (*credentials, error) {
	if cfg == nil {
		return nil, nil
	}
	c := &credentials{cfg: *cfg}
	return c, c.reload()
}

// reload reads the files. On an error nothing changed; a key that does not fit the
// certificate, because only one of the two was replaced so far, is one.
func (c *credentials) reload() (err error) {
	var files [3][]byte
	for i, name := range []string{c.cfg.CertFile, c.cfg.KeyFile, c.cfg.CAFile} {
		if files[i], err = os.ReadFile(name); err != nil {
			return fmt.Errorf("transport: reading TLS files: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	caChanged := !bytes.Equal(files[2], c.files[2])
	if !caChanged && bytes.Equal(files[0], c.files[0]) && bytes.Equal(files[1], c.files[1]) {
		return nil
	}
	cert, err := tls.X509KeyPair(files[0], files[1])
	if err != nil {
		return fmt.Errorf("transport: %s and %s: %w", c.cfg.CertFile, c.cfg.KeyFile, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(files[2]) {
		return fmt.Errorf("transport: %s holds no certificate", c.cfg.CAFile)
	}
	c.files, c.cert = files, cert
	if caChanged {
		c.pool = pool
	}
	return nil
}

// config returns what holds for both ends, with the credentials of now.
// Sessions are not resumed, so that every connection verifies its certificates.
func (c *credentials) config() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{c.cert},
		RootCAs:                c.pool,
		ClientCAs:              c.pool,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		NextProtos:             []string{"quorate-raft"},
		SessionTicketsDisabled: true,
	}
}

// accept returns the accepting end of an encrypted connection.
func (c *credentials) accept(raw net.Conn) *tls.Conn { return tls.Server(raw, c.config()) }

// dial returns the dialing end, which accepts only that node.
func (c *credentials) dial(raw net.Conn, node uint64) *tls.Conn {
	cfg := c.config()
	cfg.ServerName = c.cfg.PeerName(node)
	return tls.Client(raw, cfg)
}

// isNode reports whether the peer's certificate is that node's. The chain was
// verified in the handshake.
func (c *credentials) isNode(conn *tls.Conn, node uint64) error {
	chain := conn.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	return chain[0].VerifyHostname(c.cfg.PeerName(node))
}

// authorities returns the CAs of now: the same value until they change.
func (c *credentials) authorities() *x509.CertPool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pool
}

// anyExpired reports whether a certificate of the chain has expired.
func anyExpired(chain []*x509.Certificate, now time.Time) bool {
	return slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return now.After(c.NotAfter) })
}

// verify verifies a peer's certificate against CAs and the time of now.
func verify(chain []*x509.Certificate, pool *x509.CertPool) error {
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	opts := x509.VerifyOptions{
		Roots: pool, Intermediates: x509.NewCertPool(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, cert := range chain[1:] {
		opts.Intermediates.AddCert(cert)
	}
	_, err := chain[0].Verify(opts)
	return err
}
