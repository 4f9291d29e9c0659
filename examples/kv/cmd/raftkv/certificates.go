package main

import (
	"crypto/tls"
	"os"
	"sync"
	"time"
)

// certificateFiles is a certificate that is read again when its files change, so that it
// can be renewed without a restart.
type certificateFiles struct {
	cert, key string

	mu      sync.Mutex
	current *tls.Certificate
	changed [2]time.Time // of the files, when they were read
}

func newCertificateFiles(cert, key string) (*certificateFiles, error) {
	f := &certificateFiles{cert: cert, key: key}
	_, err := f.load()
	return f, err
}

// server is tls.Config.GetCertificate. While the files cannot be used, as in the middle
// of their being replaced, what was read before counts.
func (f *certificateFiles) server(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	current, err := f.load()
	if current != nil {
		err = nil
	}
	return current, err
}

func (f *certificateFiles) load() (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var changed [2]time.Time
	for i, name := range []string{f.cert, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return f.current, err
		}
		changed[i] = info.ModTime()
	}
	if f.current != nil && changed == f.changed {
		return f.current, nil
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return f.current, err
	}
	f.current, f.changed = &pair, changed
	return f.current, nil
}
