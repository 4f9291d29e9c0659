package processtest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
)

// Ports are taken from below those that the system gives to outgoing connections: a server
// that is down finds its own free when it comes back.
const firstPort, endPort = 15_000, 32_000

var nextPort atomic.Uint32

func init() { nextPort.Store(rand.Uint32N(endPort - firstPort)) }

// freeAddress returns a loopback address that nobody listens on, and that no other call
// returns.
func freeAddress(t testing.TB) string {
	for range endPort - firstPort {
		port := firstPort + nextPort.Add(1)%(endPort-firstPort)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}
