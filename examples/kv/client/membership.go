package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// Membership returns the configuration as the leader knows it, with the progress of its
// members, and the step towards the target that stands. The error is that of ctx, or has
// an *api.Error.
func (c *Client) Membership(ctx context.Context) (api.Membership, error) {
	var m api.Membership
	f := c.do(ctx, &request{method: http.MethodGet, path: "/v1/membership", limit: smallAnswer, decode: into(&m, validMembership)})
	return m, f.readError("membership")
}

// SetMembership says who the members are to be, and returns when the cluster works towards
// it; see AwaitMembership for what comes of it. The error matches exactly one of
// ErrNotApplied and ErrAmbiguous; after the latter, Membership may show the target.
func (c *Client) SetMembership(ctx context.Context, m api.SetMembership) (api.TargetSet, error) {
	var set api.TargetSet
	f := c.do(ctx, change(http.MethodPut, "/v1/membership", encode(m), into(&set, func(t *api.TargetSet) bool { return t.Version != 0 })))
	return set, f.writeError("set the membership")
}

// AwaitMembership waits until the target of a version has ended, and returns how. The
// error is that of ctx or has an *api.Error: with api.CodeCompacted if it has ended and no
// server that was asked knows how, with api.CodeNotFound if there was none.
func (c *Client) AwaitMembership(ctx context.Context, version uint64) (api.Outcome, error) {
	for {
		var o api.Outcome
		f := c.do(ctx, &request{
			method: http.MethodGet, path: "/v1/membership/outcome", query: versionQuery(version), limit: smallAnswer, decode: into(&o, validOutcome),
		})
		if f != nil || o.Result != api.ResultPending {
			return o, f.readError(fmt.Sprintf("outcome of the target %d", version))
		}
	}
}

// CancelMembership gives up the target of a version, or with 0 whichever stands, and returns
// how it ended: not as cancelled, if it had ended before. The error matches exactly one
// of ErrNotApplied and ErrAmbiguous, and ErrNotFound if none stands.
func (c *Client) CancelMembership(ctx context.Context, version uint64) (api.Outcome, error) {
	var o api.Outcome
	r := change(http.MethodDelete, "/v1/membership", nil, into(&o, validOutcome))
	if version != 0 {
		r.query = versionQuery(version)
	}
	f := c.do(ctx, r)
	return o, f.writeError("cancel the target")
}

// PlanMembership says what lies ahead on the way to a membership, and changes nothing. The
// error is that of ctx, or has an *api.Error.
func (c *Client) PlanMembership(ctx context.Context, m api.SetMembership) (api.MembershipPlan, error) {
	var plan api.MembershipPlan
	f := c.do(ctx, &request{
		method: http.MethodPost, path: "/v1/membership/plan", body: encode(m), limit: smallAnswer,
		decode: into(&plan, func(p *api.MembershipPlan) bool { return len(p.Before.Quorums) > 0 }),
	})
	return plan, f.readError("plan the membership")
}

// Repair returns what the server at an endpoint does about voters that are gone. The error
// is that of the endpoint or of ctx, or has an *api.Error.
func (c *Client) Repair(ctx context.Context, endpoint string) (api.Repair, error) {
	return c.askRepair(ctx, endpoint, &request{method: http.MethodGet, path: "/v1/repair"})
}

// PauseRepair makes the server at an endpoint do nothing about voters that are gone, or go
// on. The error is that of the endpoint or of ctx, or has an *api.Error.
func (c *Client) PauseRepair(ctx context.Context, endpoint string, paused bool) (api.Repair, error) {
	return c.askRepair(ctx, endpoint, &request{method: http.MethodPost, path: "/v1/repair", body: encode(api.PauseRepair{Paused: paused})})
}

func (c *Client) askRepair(ctx context.Context, endpoint string, r *request) (api.Repair, error) {
	var answer api.Repair
	r.limit, r.decode = smallAnswer, into(&answer, func(*api.Repair) bool { return true })
	at, err := parseEndpoint(endpoint)
	if err != nil {
		return answer, fmt.Errorf("client: repair at %w", err)
	}
	f := c.try(ctx, at, r)
	if f != nil && ctx.Err() != nil {
		f = ended(ctx, f)
	}
	return answer, f.readError("repair at " + endpoint)
}

func versionQuery(version uint64) url.Values {
	return url.Values{"version": {strconv.FormatUint(version, 10)}}
}

func validOutcome(o *api.Outcome) bool { return o.Version != 0 && o.Result != "" }
