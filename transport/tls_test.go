package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key}
}

// issue writes a certificate for a name, its key, and the CA, and returns a TLSConfig
// that names the files.
func (a *authority) issue(t testing.TB, dir, name string, until time.Time) *TLSConfig {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	c := &TLSConfig{
		CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), CAFile: filepath.Join(dir, "ca.pem"),
		ReloadInterval: 20 * time.Millisecond,
	}
	writePEM(t, c.CertFile, "CERTIFICATE", der)
	writePEM(t, c.KeyFile, "PRIVATE KEY", keyDER)
	writePEM(t, c.CAFile, "CERTIFICATE", a.cert.Raw)
	return c
}

func writePEM(t testing.TB, name, kind string, blocks ...[]byte) {
	t.Helper()
	var text []byte
	for _, der := range blocks {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	require.NoError(t, os.WriteFile(name+".new", text, 0o600))
	require.NoError(t, os.Rename(name+".new", name))
}

func secureConfig(id uint64, c *TLSConfig) Config {
	cfg := testConfig(id)
	cfg.TLS = c
	return cfg
}

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

// With certificates of one CA nodes talk as they do without, snapshots too, over
// TLS 1.3.
func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	a := newEndpoint(t, secureConfig(1, ca.issue(t, t.TempDir(), "node-1", inAnHour())))
	b := newEndpoint(t, secureConfig(2, ca.issue(t, t.TempDir(), "node-2", inAnHour())))
	a.group.SetPeer(2, b.Addr().String())
	connected(t, a, b)
	a.group.Send([]raftpb.Message{heartbeat(1, 2, 1), appendOf(1, 2, 1, make([]byte, 3<<20))})
	receive(t, b.messages, "a message")
	receive(t, b.messages, "the other message")
	require.NoError(t, a.group.SendSnapshot(t.Context(), 2, nil, &patternReader{left: 9 << 20}))
	a.connMu.Lock()
	defer a.connMu.Unlock()
	for c := range a.conns {
		state := c.Conn.(*tls.Conn).ConnectionState()
		require.Equal(t, uint16(tls.VersionTLS13), state.Version)
		require.False(t, state.DidResume)
	}
}

// Only a certificate of the CA with the node's own name makes a connection, at
// either end; a peer without TLS makes none.
func TestTLSRefusals(t *testing.T) {
	ca, foreign := newAuthority(t), newAuthority(t)
	named := secureConfig(3, ca.issue(t, t.TempDir(), "third", inAnHour()))
	named.TLS.PeerName = func(id uint64) string { return map[uint64]string{2: "node-2", 3: "third"}[id] }
	for _, test := range []struct {
		name string
		cfg  Config
		ok   bool
	}{
		{"its own name", secureConfig(1, ca.issue(t, t.TempDir(), "node-1", inAnHour())), true},
		{"another node's name", secureConfig(1, ca.issue(t, t.TempDir(), "node-3", inAnHour())), false},
		{"another CA", secureConfig(1, foreign.issue(t, t.TempDir(), "node-1", inAnHour())), false},
		{"expired", secureConfig(1, ca.issue(t, t.TempDir(), "node-1", time.Now().Add(-time.Minute))), false},
		{"no TLS", testConfig(1), false},
		{"a name by another rule", named, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newEndpoint(t, secureConfig(2, ca.issue(t, t.TempDir(), "node-2", inAnHour())))
			cfg := test.cfg
			if cfg.TLS == nil {
				cfg.HandshakeTimeout = 200 * time.Millisecond
			}
			a := newEndpoint(t, cfg)
			a.group.SetPeer(2, b.Addr().String())
			if test.ok {
				connected(t, a, b)
				return
			}
			receive(t, a.unreachable, "a report")
			eventually(t, "b refused", func() bool { return b.Stats().Refused > 0 })
			require.Zero(t, b.Stats().Inbound)
			require.Zero(t, a.Stats().Peers[0].Lanes[LaneControl].Connects)
		})
	}
	// The dialing end refuses a server with another node's name.
	b := newEndpoint(t, secureConfig(2, ca.issue(t, t.TempDir(), "node-5", inAnHour())))
	a := newEndpoint(t, secureConfig(1, ca.issue(t, t.TempDir(), "node-1", inAnHour())))
	a.group.SetPeer(2, b.Addr().String())
	receive(t, a.unreachable, "a report")
	require.Zero(t, a.Stats().Peers[0].Lanes[LaneControl].Connects)

	missing := secureConfig(1, &TLSConfig{CertFile: "a", KeyFile: "b", CAFile: "c"})
	_, err := New(missing)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// Files that change are used without a restart: first the CA is extended, then the
// certificates move to the new one, then the old one goes, and with it whoever still
// has a certificate of it, though connected.
func TestTLSFilesAreReloaded(t *testing.T) {
	old, young := newAuthority(t), newAuthority(t)
	var dirs [4]string
	var nodes [4]*endpoint
	for id := uint64(1); id <= 3; id++ {
		dirs[id] = t.TempDir()
		nodes[id] = newEndpoint(t, secureConfig(id, old.issue(t, dirs[id], fmt.Sprintf("node-%d", id), inAnHour())))
	}
	a, b, c := nodes[1], nodes[2], nodes[3]
	for _, from := range []*endpoint{a, c} {
		from.group.SetPeer(2, b.Addr().String())
		connected(t, from, b)
	}

	for id := 1; id <= 3; id++ {
		writePEM(t, filepath.Join(dirs[id], "ca.pem"), "CERTIFICATE", old.cert.Raw, young.cert.Raw)
	}
	// A key that does not fit, for a moment, changes nothing.
	require.NoError(t, os.WriteFile(filepath.Join(dirs[2], "key.pem"), []byte("half a file"), 0o600))
	loaded := func(e *endpoint, dir string) {
		t.Helper()
		cert, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
		require.NoError(t, err)
		authorities, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		require.NoError(t, err)
		eventually(t, "the files are read", func() bool {
			e.creds.mu.Lock()
			defer e.creds.mu.Unlock()
			return string(e.creds.files[0]) == string(cert) && string(e.creds.files[2]) == string(authorities)
		})
	}
	loaded(a, dirs[1])
	for id := uint64(1); id <= 2; id++ {
		young.issue(t, dirs[id], fmt.Sprintf("node-%d", id), inAnHour())
		writePEM(t, filepath.Join(dirs[id], "ca.pem"), "CERTIFICATE", old.cert.Raw, young.cert.Raw)
		loaded(nodes[id], dirs[id])
	}
	// The connections of before still stand; new ones have the new certificates.
	a.closeConns(func(*conn) error { return ErrClosed })
	eventually(t, "a uses its new certificate", func() bool {
		a.group.Send([]raftpb.Message{heartbeat(1, 2, 1)})
		return len(b.messages) > 0
	})
	connected(t, a, b)
	connected(t, c, b)
	for len(c.unreachable) > 0 {
		<-c.unreachable
	}

	writePEM(t, filepath.Join(dirs[2], "ca.pem"), "CERTIFICATE", young.cert.Raw)
	require.Equal(t, uint64(2), receive(t, c.unreachable, "the end of a connection with an old certificate"))
	eventually(t, "it is refused", func() bool { return b.Stats().Refused > 0 })
	connected(t, a, b)
}

// A connection does not outlive the peer's certificate.
func TestTLSExpiry(t *testing.T) {
	ca := newAuthority(t)
	until := time.Now().Add(2 * time.Second)
	a := newEndpoint(t, secureConfig(1, ca.issue(t, t.TempDir(), "node-1", until)))
	b := newEndpoint(t, secureConfig(2, ca.issue(t, t.TempDir(), "node-2", inAnHour())))
	a.group.SetPeer(2, b.Addr().String())
	connected(t, a, b)
	require.Equal(t, uint64(2), receive(t, a.unreachable, "the end of the connection"))
	require.WithinDuration(t, until, time.Now(), 3*time.Second)
	eventually(t, "it is refused from now on", func() bool { return b.Stats().Refused > 0 })
}

// A handshake that began before a CA was withdrawn and ended after it makes no
// connection that stays.
func TestTLSReloadDuringHandshake(t *testing.T) {
	old, young := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	theirs := old.issue(t, t.TempDir(), "node-1", inAnHour())
	b := newEndpoint(t, secureConfig(2, old.issue(t, dir, "node-2", inAnHour())))
	raw := stranger(t, b)
	eventually(t, "it is accepted", func() bool { return b.Stats().Handshakes == 1 })
	before := b.creds.authorities()
	writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", young.cert.Raw)
	eventually(t, "the CA is withdrawn", func() bool { return b.creds.authorities() != before })

	full := theirs.withDefaults()
	creds, err := loadCredentials(&full)
	require.NoError(t, err)
	secure := creds.dial(raw, 2)
	h := hello{version: protocolVersion, minVersion: minProtocolVersion, cluster: 1, from: 1, to: 2}
	_, err = secure.Write(h.encode())
	require.NoError(t, err)
	w, err := readWelcome(secure)
	if err != nil {
		return // refused: it had not begun yet
	}
	require.NoError(t, w.check(2))
	cfg := testConfig(1).withDefaults()
	c := newConn(secure, raw, &cfg, maxSmallFrame)
	go c.keepAlive(cfg.PingInterval)
	defer c.close()
	eventually(t, "it is closed", func() bool { return b.Stats().Inbound == 0 })
}
