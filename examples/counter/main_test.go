package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cluster is three processes of the program on this machine.
type cluster struct {
	t         *testing.T
	program   string
	dir       string
	members   string
	http      [4]string
	processes [4]*exec.Cmd
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, dir: t.TempDir()}
	c.program = filepath.Join(c.dir, "counter")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", c.program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	var members []string
	for id := 1; id <= 3; id++ {
		members = append(members, fmt.Sprintf("%d=%s", id, freeAddress(t)))
		c.http[id] = freeAddress(t)
	}
	c.members = strings.Join(members, ",")
	for id := 1; id <= 3; id++ {
		c.start(id)
	}
	t.Cleanup(func() {
		for id := 1; id <= 3; id++ {
			c.kill(id)
		}
	})
	return c
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (c *cluster) start(id int) {
	p := exec.Command(c.program, "-id", strconv.Itoa(id), "-dir", filepath.Join(c.dir, strconv.Itoa(id)), "-http", c.http[id], "-members", c.members)
	p.Stderr = os.Stderr
	require.NoError(c.t, p.Start())
	c.processes[id] = p
}

func (c *cluster) kill(id int) {
	if p := c.processes[id]; p != nil {
		_ = p.Process.Kill()
		_ = p.Wait()
		c.processes[id] = nil
	}
}

// ask returns the number that member id answers, or an error.
func (c *cluster) ask(id int, method, path string, form url.Values) (int, error) {
	client := http.Client{Timeout: 10 * time.Second}
	var resp *http.Response
	var err error
	if method == http.MethodPost {
		resp, err = client.PostForm("http://"+c.http[id]+path, form)
	} else {
		resp, err = client.Get("http://" + c.http[id] + path)
	}
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(body)))
}

func (c *cluster) read(id int) int {
	var n int
	require.Eventually(c.t, func() bool {
		var err error
		n, err = c.ask(id, http.MethodGet, "/", nil)
		return err == nil
	}, 30*time.Second, 50*time.Millisecond, "member %d does not answer", id)
	return n
}

// The program of docs/embedding.md does what it says: any member adds and reads,
// nothing that was acknowledged is lost when any of them is killed, and it comes back
// from its disk.
func TestCounter(t *testing.T) {
	c := newCluster(t)
	require.Zero(t, c.read(1))
	least, most := 0, 0 // an addition without an answer may count or not
	add := func(id int) {
		most++
		if n, err := c.ask(id, http.MethodPost, "/add", url.Values{"n": {"1"}}); err == nil {
			least++
			require.GreaterOrEqual(t, n, least)
			require.LessOrEqual(t, n, most)
		}
	}
	for round := range 3 {
		victim, other := round%3+1, (round+1)%3+1
		for range 10 {
			add(victim)
			add(other)
		}
		c.kill(victim)
		n := c.read(other)
		require.GreaterOrEqual(t, n, least, "what was acknowledged is lost")
		require.LessOrEqual(t, n, most)
		add(other)
		c.start(victim)
		require.GreaterOrEqual(t, c.read(victim), least)
	}
	require.Greater(t, least, 20)
	_, err := c.ask(1, http.MethodPost, "/add", url.Values{"n": {"x"}})
	require.ErrorContains(t, err, "400")
}

// What is wrong with the flags is said in one line.
func TestFlags(t *testing.T) {
	dir := t.TempDir()
	for members, want := range map[string]string{
		"x":                "\"x\" is not ID=address",
		"1=":               "\"1=\" is not ID=address",
		"2=127.0.0.1:7001": "1 is not among",
		"1=nowhere":        "host:port",
	} {
		require.ErrorContains(t, run(1, dir, "127.0.0.1:0", members), want)
	}
}
