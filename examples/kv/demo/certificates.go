package demo

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
	"time"
)

// certificateLife is for how long the certificates are good: for a demo that is kept
// open, not for more.
const certificateLife = 24 * time.Hour

// certificates are the files of a CA and of the servers whose certificates it signed. The
// CA's key is never written, so nobody else can become a server.
type certificates struct{ dir string }

// makeCertificates makes a CA, and a certificate for each server.
func makeCertificates(dir string, ids ...uint64) (*certificates, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c := &certificates{dir: dir}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	authority := template("raftkv demo")
	authority.IsCA, authority.BasicConstraintsValid = true, true
	authority.KeyUsage = x509.KeyUsageCertSign
	signed, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if err := writePEM(c.authority(), "CERTIFICATE", signed); err != nil {
		return nil, err
	}
	for _, id := range ids {
		if err := c.issue(id, authority, key); err != nil {
			return nil, fmt.Errorf("certificate of server %d: %w", id, err)
		}
	}
	return c, nil
}

func (c *certificates) issue(id uint64, authority *x509.Certificate, signer *ecdsa.PrivateKey) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("node-%d", id) // what raftkv serve expects
	t := template(name)
	t.DNSNames = []string{name}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	// A server dials the others and is dialed by them, with the same certificate.
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	signed, err := x509.CreateCertificate(rand.Reader, t, authority, key.Public(), signer)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(writePEM(c.certificate(id), "CERTIFICATE", signed), writePEM(c.key(id), "PRIVATE KEY", private))
}

func template(name string) *x509.Certificate {
	now := time.Now()
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
	}
}

func (c *certificates) authority() string { return filepath.Join(c.dir, "ca.pem") }
func (c *certificates) certificate(id uint64) string {
	return filepath.Join(c.dir, fmt.Sprintf("node-%d.pem", id))
}
func (c *certificates) key(id uint64) string {
	return filepath.Join(c.dir, fmt.Sprintf("node-%d.key", id))
}

func writePEM(name, kind string, der []byte) error {
	return os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
