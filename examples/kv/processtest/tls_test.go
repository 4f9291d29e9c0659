//go:build unix

package processtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// authority signs certificates.
type authority struct {
	t           *testing.T
	dir, file   string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.certificate = &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, SerialNumber: big.NewInt(1),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.file, _, a.key = a.write("authority", a.certificate, nil)
	return a
}

// write signs a certificate and writes it and its key into files; by itself without a signer.
func (a *authority) write(name string, c *x509.Certificate, signer *ecdsa.PrivateKey) (certFile, keyFile string, key *ecdsa.PrivateKey) {
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	if signer == nil {
		signer = key
	}
	certificate, err := x509.CreateCertificate(rand.Reader, c, a.certificate, &key.PublicKey, signer)
	require.NoError(a.t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	file := func(ending, kind string, bytes []byte) string {
		path := filepath.Join(a.dir, name+ending)
		require.NoError(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600))
		return path
	}
	return file(".crt", "CERTIFICATE", certificate), file(".key", "PRIVATE KEY", secret), key
}

// flags are those of a server with a certificate of the given name, which trusts a.
func (a *authority) flags(name string, trusted *authority) []string {
	certFile, keyFile, _ := a.write(name, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(2), DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.key)
	return []string{"--peer-cert", certFile, "--peer-key", keyFile, "--peer-ca", trusted.file}
}

// Servers with certificates in their names work together. One with a certificate of another
// authority is not let in: it may be made a member, but is told of no entry. One with a
// certificate in another's name does not start.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	name := func(id int) string { return fmt.Sprintf("node-%d", id) }
	c := newCluster(t)
	c.found(3)
	for i, s := range c.members() {
		s.own = ours.flags(name(i+1), ours)
		s.start()
	}
	for _, s := range c.members() {
		s.awaitServing()
	}
	n := newNemesis(c)
	cl := c.newClient()
	defer cl.Close()
	c.put(cl, "key", "value")
	c.awaitAgreement()

	intruder := c.join(append(theirs.flags(name(4), ours), "--id", "4")...)
	c.drop(intruder)
	eventually(t, patience, "it is refused", func() error {
		if intruder.metric("raftkv_refused_connections_total") == 0 {
			return errors.New("nobody tried")
		}
		return nil
	})
	c.put(cl, "key", "without it")
	has, err := intruder.entries()
	require.NoError(t, err)
	require.Empty(t, has)
	m := c.membership().Find(4)
	require.NotNil(t, m)
	require.Equal(t, api.RoleLearner, m.Role, "what is not heard from is not made a voter")
	n.removeOne(intruder)

	// One whose certificate is another server's is told so before it does anything.
	other := c.newServer()
	other.own = append(ours.flags(name(9), ours), "--id", "5", "--join", strings.Join(c.urls(), ","))
	end := run(t, other.command())
	require.Equal(t, 2, end.status, end.text)
	require.Contains(t, end.text, "must have the name node-5")
	require.Nil(t, c.membership().Find(5))

	n.awaitMember("becomes a voter", c.join(append(ours.flags(name(6), ours), "--id", "6")...), isVoter)
	require.Len(t, c.awaitAgreement(), 1)
}
