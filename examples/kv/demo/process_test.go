package demo

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// A server's certificate has its name, is good at both ends of a connection, and is signed
// by the CA, whose key is nowhere.
func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	c, err := makeCertificates(dir, 1, 4)
	require.NoError(t, err)
	authorities := x509.NewCertPool()
	data, err := os.ReadFile(c.authority())
	require.NoError(t, err)
	require.True(t, authorities.AppendCertsFromPEM(data))
	for id, name := range map[uint64]string{1: "node-1", 4: "node-4"} {
		pair, err := tls.LoadX509KeyPair(c.certificate(id), c.key(id))
		require.NoError(t, err)
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: authorities, DNSName: name, KeyUsages: []x509.ExtKeyUsage{usage}})
			require.NoError(t, err)
		}
		require.Error(t, pair.Leaf.VerifyHostname("node-2"))
	}
	keys := 0
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(dir + "/" + e.Name())
		require.NoError(t, err)
		if block, _ := pem.Decode(data); block.Type == "PRIVATE KEY" {
			keys++
		}
	}
	require.Equal(t, 2, keys)
}

// What is set for the user's own servers is not for those of the demo.
func TestEnvironmentIsNotInherited(t *testing.T) {
	require.Equal(t, []string{"PATH=/bin", "HOME=/"}, withoutSettings([]string{"PATH=/bin", "RAFTKV_JOIN=elsewhere", "HOME=/", "RAFTKV_DATA=mine"}))
}

// Ports differ from each other.
func TestFreePorts(t *testing.T) {
	ports, err := freePorts(20)
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, p := range ports {
		require.False(t, seen[p])
		seen[p] = true
	}
}
