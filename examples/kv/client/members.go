package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// Status returns the state of the server at an endpoint, which is asked once; "" means any
// server, and as many tries as it takes. The error is that of the endpoint or of ctx, or
// has an *api.Error.
func (c *Client) Status(ctx context.Context, endpoint string) (api.Status, error) {
	var status api.Status
	r := statusRequest(http.MethodGet, "/v1/status", &status)
	if endpoint == "" {
		f := c.do(ctx, r)
		return status, f.readError("status")
	}
	at, err := parseEndpoint(endpoint)
	if err != nil {
		return status, fmt.Errorf("client: status of %w", err)
	}
	f := c.try(ctx, at, r)
	if f != nil && ctx.Err() != nil {
		f = ended(ctx, f)
	}
	return status, f.readError("status of " + endpoint)
}

// Members returns the configuration in force at the server that answers, which may be
// behind that of the leader. The error is that of ctx, or has an *api.Error.
func (c *Client) Members(ctx context.Context) (api.Membership, error) {
	var m api.Membership
	f := c.do(ctx, membersRequest(&m))
	return m, f.readError("members")
}

// AddMember adds a server as a learner, under the ID that Join gave it or one that was never
// used, and returns what it needs in order to join. An ID that is not the claim's is
// refused, with api.CodeTaken. The error matches exactly one of ErrNotApplied and
// ErrAmbiguous; after the latter, Members may show a member of these addresses.
func (c *Client) AddMember(ctx context.Context, m api.NewMember) (api.Joined, error) {
	var joined api.Joined
	f := c.do(ctx, change(http.MethodPost, "/v1/members", encode(m), into(&joined, validJoined)))
	return joined, f.writeError("add a member")
}

// UpdateMember changes the addresses of a member. The error matches exactly one of
// ErrNotApplied and ErrAmbiguous, and ErrNotFound if there is no such member.
func (c *Client) UpdateMember(ctx context.Context, id uint64, addresses api.Addresses) (api.Membership, error) {
	return c.changeMember(ctx, http.MethodPut, id, "", encode(addresses), fmt.Sprintf("update member %d", id))
}

// RemoveMember removes a member. Without force it is refused if the voters that are left and
// heard from are no majority of those that are left: they could not go on. The error matches exactly one of ErrNotApplied and
// ErrAmbiguous, and ErrNotFound if there is no such member.
func (c *Client) RemoveMember(ctx context.Context, id uint64, force bool) (api.Membership, error) {
	suffix := ""
	if force {
		suffix = "?force=true"
	}
	return c.changeMember(ctx, http.MethodDelete, id, suffix, nil, fmt.Sprintf("remove member %d", id))
}

// Promote makes a learner a voter. A learner that is too far behind is refused, with
// api.CodeRefused. The error matches exactly one of ErrNotApplied and ErrAmbiguous, and
// ErrNotFound if there is no such member.
func (c *Client) Promote(ctx context.Context, id uint64) (api.Membership, error) {
	return c.changeMember(ctx, http.MethodPost, id, "/promote", nil, fmt.Sprintf("promote member %d", id))
}

// Replace removes a voter and makes a learner a voter in its place, in one joint change.
// The error matches exactly one of ErrNotApplied and ErrAmbiguous, and ErrNotFound if
// there is no such member.
func (c *Client) Replace(ctx context.Context, id, with uint64) (api.Membership, error) {
	return c.changeMember(ctx, http.MethodPost, id, "/replace", encode(api.Replace{With: with}),
		fmt.Sprintf("replace member %d with %d", id, with))
}

// Transfer hands leadership to a voter; 0 lets the leader choose. It returns the state of
// the server that was the leader. The error matches exactly one of ErrNotApplied and
// ErrAmbiguous.
func (c *Client) Transfer(ctx context.Context, to uint64) (api.Status, error) {
	var status api.Status
	r := statusRequest(http.MethodPost, "/v1/transfer", &status)
	r.body, r.once = encode(api.Transfer{To: to}), true
	f := c.do(ctx, r)
	return status, f.writeError(fmt.Sprintf("transfer leadership to %d", to))
}

// Join returns what a server needs in order to join: an ID, and whom to talk to. It changes
// no configuration, and the same claim gets the same ID, so it is tried again whatever
// happened. The error is that of ctx, or has an *api.Error, with api.CodeTaken if the
// server cannot have the ID.
func (c *Client) Join(ctx context.Context, join api.Join) (api.Joined, error) {
	var joined api.Joined
	r := change(http.MethodPost, "/v1/join", encode(join), into(&joined, validJoined))
	r.once = false
	f := c.do(ctx, r)
	return joined, f.readError("join")
}

func (c *Client) changeMember(ctx context.Context, method string, id uint64, action string, body []byte, what string) (api.Membership, error) {
	var m api.Membership
	f := c.do(ctx, change(method, fmt.Sprintf("/v1/members/%d%s", id, action), body, into(&m, validMembership)))
	return m, f.writeError(what)
}

// change returns a request without an ID: a second one is a second change.
func change(method, path string, body []byte, decode func([]byte) error) *request {
	return &request{method: method, path: path, body: body, once: true, limit: smallAnswer, decode: decode}
}

func membersRequest(out *api.Membership) *request {
	return &request{method: http.MethodGet, path: "/v1/members", limit: smallAnswer, decode: into(out, validMembership)}
}

func statusRequest(method, path string, out *api.Status) *request {
	return &request{method: method, path: path, limit: smallAnswer, decode: into(out, func(s *api.Status) bool { return s.ID != 0 })}
}

// A configuration has members, and a server an ID.
func validMembership(m *api.Membership) bool { return len(m.Members) > 0 }
func validJoined(j *api.Joined) bool         { return j.ID != 0 && len(j.Members) > 0 }
