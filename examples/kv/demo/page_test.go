package demo

import (
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// What the page is told is what the servers said and what the clients got: the leader of
// the latest term counts, configurations come in their order, and lists are never null.
func TestPageState(t *testing.T) {
	d, err := newDemo(Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer d.page.close()
	get := func() (s pageState) {
		w := httptest.NewRecorder()
		d.pageHandler().ServeHTTP(w, httptest.NewRequest("GET", "/state", nil))
		require.Equal(t, 200, w.Code)
		require.NotRegexp(t, `"(servers|peers|configurations|throughput)":null`, w.Body.String())
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &s))
		return s
	}
	empty := get()
	require.Zero(t, empty.Leader)
	require.Nil(t, empty.Summary)

	members := func(index uint64, joint bool, roles ...string) api.Membership {
		m := api.Membership{Index: index, Joint: joint}
		for i, role := range roles {
			m.Members = append(m.Members, api.Member{ID: uint64(i + 1), Role: role, Progress: &api.Progress{State: "replicate", Match: 7, Behind: 2}})
		}
		return m
	}
	simple := members(3, false, api.RoleVoter, api.RoleVoter, api.RoleLearner)
	d.monitor.latest = []observed{
		{view{1, stateRunning, 11, ""}, &api.Status{ID: 1, Role: "leader", Term: 4}},
		{view{2, stateRunning, 12, ""}, &api.Status{ID: 2, Role: "leader", Term: 5, Commit: 9, Membership: simple}},
		{view{3, stateKilled, 13, ""}, nil},
	}
	for _, m := range []api.Membership{simple, simple, members(5, true, api.RoleVoter, api.RoleOutgoing, api.RoleIncoming), members(4, false, api.RoleVoter)} {
		d.monitor.note(&m)
	}
	d.monitor.samples = []sample{{time.Second, 10, 0}, {3 * time.Second, 30, 5}}
	d.told = []toldStep{{Title: "<b>", State: "running"}}
	d.over = true
	s := get()
	require.EqualValues(t, 2, s.Leader)
	require.Len(t, s.Servers, 3)
	require.False(t, s.Servers[2].Answers)
	require.Equal(t, pageServer{ID: 2, Process: stateRunning, PID: 12, Answers: true, Role: "leader", Term: 5, Commit: 9}, s.Servers[1])
	require.Len(t, s.Peers, 3)
	require.EqualValues(t, 2, s.Peers[0].Behind)
	require.Len(t, s.Configurations, 2, "the one that came late is none")
	require.Equal(t, []uint64{3}, s.Configurations[0].Learners)
	require.Equal(t, []uint64{1, 3}, s.Configurations[1].Voters)
	require.Equal(t, []uint64{1, 2}, s.Configurations[1].Outgoing)
	require.Equal(t, []rate{{3, 10, 2.5}}, s.Throughput)
	require.Equal(t, "<b>", s.Steps[0].Title)
	require.Contains(t, s.Fault, ErrNotChecked.Error())
	require.NotNil(t, s.Summary)
}

// The page can do nothing but ask where it came from, and whatever it is told is text to
// it.
func TestPageIsConfined(t *testing.T) {
	d, err := newDemo(Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer d.page.close()
	w := httptest.NewRecorder()
	d.pageHandler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	require.Equal(t, 200, w.Code)
	policy := w.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	require.Regexp(t, `script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; connect-src 'self'`, policy)
	page := w.Body.String()
	require.NotRegexp(t, `innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(`, page)
	require.NotRegexp(t, `(?i)<(script|link|img|iframe)[^>]+(src|href)="(https?:)?//`, page)
	require.Equal(t, []string{"http://www.w3.org/2000/svg"}, regexp.MustCompile(`https?://[^'"\s]+`).FindAllString(page, -1), "a name, not an address")

	for method, path := range map[string]string{"POST": "/state", "GET": "/other"} {
		w := httptest.NewRecorder()
		d.pageHandler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
		require.GreaterOrEqual(t, w.Code, 400)
	}
}
