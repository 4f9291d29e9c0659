package transport

import (
	"crypto/x509"
	"net"
	"sync"
	"time"
)

// maxWrite is the most that is written under one deadline.
const maxWrite = 256 << 10

// conn is a connection after its handshake. Reads and writes have deadlines that
// move with each byte; both ends send a ping when they would else be silent. So
// a peer that is gone without a word is noticed after PeerTimeout: the reader at
// either end hears nothing any more.
type conn struct {
	net.Conn          // encrypted, if TLS is used
	raw      net.Conn // the socket
	frames   *frameReader
	maxFrame int // the largest payload that the other end takes

	readTimeout, writeTimeout time.Duration

	// verifiedBy has the CAs by which the peer's certificate was looked at last;
	// watchCredentials alone uses it.
	verifiedBy *x509.CertPool

	wmu   sync.Mutex // held while writing
	wrote bool       // since the last look of keepAlive

	once   sync.Once
	done   chan struct{} // closed with the connection
	closed func()        // called once it is closed
}

func newConn(c, raw net.Conn, cfg *Config, limit int) *conn {
	out := &conn{
		Conn: c, raw: raw,
		readTimeout: cfg.PeerTimeout, writeTimeout: cfg.WriteTimeout,
		done: make(chan struct{}),
	}
	out.frames = newFrameReader(out, limit)
	return out
}

// Read reads; the connection is dead if nothing comes for the timeout.
func (c *conn) Read(b []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(time.Now().Add(c.readTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// write writes whole frames. After an error the connection is of no use.
func (c *conn) write(b []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.wrote = c.wrote || len(b) > 0
	return c.writeLocked(b)
}

func (c *conn) writeLocked(b []byte) error {
	for len(b) > 0 {
		part := b[:min(len(b), maxWrite)]
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
			return err
		}
		if _, err := c.Conn.Write(part); err != nil {
			return err
		}
		b = b[len(part):]
	}
	return nil
}

// keepAlive sends a ping in every interval in which nothing else was sent, until
// the connection is closed.
func (c *conn) keepAlive(interval time.Duration) {
	ping := appendFrame(nil, kindPing, 0)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-ticker.C:
		}
		if !c.wmu.TryLock() {
			continue // a write is under way
		}
		var err error
		if !c.wrote {
			err = c.writeLocked(ping)
		}
		c.wrote = false
		c.wmu.Unlock()
		if err != nil {
			c.close()
			return
		}
	}
}

// close closes the socket itself: tls.Conn.Close would wait for room for its
// farewell. It may be called again.
func (c *conn) close() {
	c.once.Do(func() {
		close(c.done)
		_ = c.raw.Close()
		if c.closed != nil {
			c.closed()
		}
	})
}
