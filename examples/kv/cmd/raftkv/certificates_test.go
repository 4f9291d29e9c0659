package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/server"
	"github.com/quorate-raft/raft/transport"
)

// writeCertificate writes a certificate that signs itself, as of a time.
func writeCertificate(t *testing.T, cert, key, name string, at time.Time) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	require.NoError(t, err)
	secretDER, err := x509.MarshalECPrivateKey(secret)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: secretDER}} {
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
		require.NoError(t, os.Chtimes(file, at, at))
	}
}

// A certificate that is renewed is shown without a restart, and while its files cannot be
// used the one from before is.
func TestCertificatesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	_, err := newCertificateFiles(cert, key)
	require.ErrorIs(t, err, os.ErrNotExist)
	start := time.Now().Add(-time.Hour)
	writeCertificate(t, cert, key, "first", start)
	files, err := newCertificateFiles(cert, key)
	require.NoError(t, err)
	shows := func(name string) {
		t.Helper()
		pair, err := files.server(nil)
		require.NoError(t, err)
		require.Equal(t, []string{name}, pair.Leaf.DNSNames)
	}
	shows("first")
	require.NoError(t, os.WriteFile(cert, []byte("half"), 0o600))
	shows("first")
	require.NoError(t, os.Remove(cert))
	shows("first")
	writeCertificate(t, cert, key, "second", start.Add(time.Minute))
	shows("second")
}

// A server whose certificate is another's ends before anybody knows of it, and may then
// ask for the ID that the certificate has.
func TestAJoinerWithAnothersCertificate(t *testing.T) {
	s := startServer(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	writeCertificate(t, cert, key, "node-9", time.Now())
	args := []string{"serve", "--data", filepath.Join(dir, "data"), "--join", s.Addresses().Client, "--peer-listen", "127.0.0.1:0",
		"--client-listen", "127.0.0.1:0", "--peer-cert", cert, "--peer-key", key, "--peer-ca", cert, "--log-level", "error"}
	o := raftkv(t, "", args...)
	require.Equal(t, exitUsage, o.status, o.errors)
	require.Contains(t, o.errors, "must have the name node-2, and not [node-9]")
	require.NoFileExists(t, filepath.Join(dir, "data", "server.json"))

	joined, err := server.Start(t.Context(), server.Config{
		Dir: filepath.Join(dir, "data"), ID: 9, Join: []string{s.Addresses().Client}, PeerListen: "127.0.0.1:0", ClientListen: "127.0.0.1:0",
		PeerTLS: &transport.TLSConfig{CertFile: cert, KeyFile: key, CAFile: cert, PeerName: func(uint64) string { return "node-9" }},
	})
	require.NoError(t, err)
	require.Equal(t, uint64(9), joined.ID())
	require.NoError(t, joined.Stop())
}
