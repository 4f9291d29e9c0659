package processtest

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pair returns both ends of a connection through a proxy.
func pair(t *testing.T) (p *proxy, client, server net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	p = newProxy(t, l.Addr().String())
	client, err = net.Dial("tcp", p.address())
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	server, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	for _, c := range []net.Conn{client, server} { // nothing here waits for ever
		require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	}
	return p, client, server
}

// arrives reports whether a byte comes from one end to the other within some time.
func arrives(t *testing.T, from, to net.Conn, within time.Duration) bool {
	_, err := from.Write([]byte{1})
	require.NoError(t, err)
	return comes(t, to, within)
}

// comes reports whether a byte comes within some time.
func comes(t *testing.T, to net.Conn, within time.Duration) bool {
	require.NoError(t, to.SetReadDeadline(time.Now().Add(within)))
	defer func() { require.NoError(t, to.SetReadDeadline(time.Now().Add(30*time.Second))) }()
	_, err := io.ReadFull(to, make([]byte, 1))
	if err != nil {
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "only time may have run out")
	}
	return err == nil
}

// long is more than what comes at once takes on a busy machine, short is how long what must
// not come is waited for.
const (
	long  = 20 * time.Second
	short = 100 * time.Millisecond
)

// Without faults all bytes come, in order, and the end after them; each direction by itself.
func TestProxyPasses(t *testing.T) {
	t.Parallel()
	_, client, server := pair(t)
	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(i % 251)
	}
	go func() {
		_, _ = client.Write(sent)
		_ = client.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(server)
	require.NoError(t, err)
	require.Equal(t, sent, got)
	require.True(t, arrives(t, server, client, long), "the other direction is still open")
}

// What is delayed comes no earlier than that, and in order whatever the jitter is.
func TestProxyDelays(t *testing.T) {
	t.Parallel()
	p, client, server := pair(t)
	const delay = 50 * time.Millisecond
	p.set(proxyFaults{toServer: pipeFaults{delay: delay, jitter: delay}})
	began := time.Now()
	for i := range 20 {
		_, err := client.Write([]byte{byte(i)})
		require.NoError(t, err)
	}
	got := make([]byte, 20)
	_, err := io.ReadFull(server, got)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(began), delay)
	for i := range got {
		require.Equal(t, byte(i), got[i])
	}
	require.True(t, arrives(t, server, client, long), "the other direction has no delay to wait for")
}

// A slow pipe lets no more than its rate through, until it is healed.
func TestProxyThrottles(t *testing.T) {
	t.Parallel()
	p, client, server := pair(t)
	p.set(proxyFaults{toServer: pipeFaults{rate: 10_000}})
	began := time.Now()
	_, err := client.Write(make([]byte, 3000))
	require.NoError(t, err)
	_, err = io.ReadFull(server, make([]byte, 2500))
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond)
	p.set(proxyFaults{})
	_, err = io.ReadFull(server, make([]byte, 500))
	require.NoError(t, err)
}

// What is stalled comes when that ends, and the connection lives; the other direction and
// new connections do not care.
func TestProxyStallsOneDirection(t *testing.T) {
	t.Parallel()
	for _, toServer := range []bool{true, false} {
		p, client, server := pair(t)
		from, to := client, server
		f := proxyFaults{toServer: pipeFaults{stall: true}}
		if !toServer {
			from, to = server, client
			f = proxyFaults{fromServer: pipeFaults{stall: true}}
		}
		p.set(f)
		require.False(t, arrives(t, from, to, short), "to the server: %t", toServer)
		require.True(t, arrives(t, to, from, long), "to the server: %t", toServer)
		p.set(proxyFaults{})
		require.True(t, comes(t, to, long), "to the server: %t", toServer)
	}
}

// A reset ends connections at both ends, and new ones may be made.
func TestProxyResets(t *testing.T) {
	t.Parallel()
	p, client, server := pair(t)
	require.True(t, arrives(t, client, server, long))
	p.reset()
	for _, c := range []net.Conn{client, server} {
		_, err := io.ReadFull(c, make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	again, err := net.Dial("tcp", p.address())
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

// New connections are refused, those that exist go on.
func TestProxyRefuses(t *testing.T) {
	t.Parallel()
	p, client, server := pair(t)
	require.True(t, arrives(t, client, server, long))
	p.set(proxyFaults{refuse: true})
	another, err := net.Dial("tcp", p.address())
	if err == nil { // the reset comes after the kernel has accepted
		require.NoError(t, another.SetDeadline(time.Now().Add(long)))
		_, err = another.Read(make([]byte, 1))
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, another.Close())
	}
	require.Error(t, err)
	require.True(t, arrives(t, client, server, long))
}

// The end of a proxy does not wait for what is stalled.
func TestProxyClosesWhileStalled(t *testing.T) {
	t.Parallel()
	p, client, server := pair(t)
	p.set(proxyFaults{toServer: pipeFaults{stall: true}, fromServer: pipeFaults{stall: true}})
	require.False(t, arrives(t, client, server, short))
	closed := make(chan struct{})
	go func() {
		p.close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(long):
		t.Fatal("it still runs")
	}
}
