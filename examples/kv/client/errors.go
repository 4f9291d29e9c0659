package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// What the outcome of a write can be, beside success. Every error of a write and of a
// change of the membership matches exactly one of ErrNotApplied and ErrAmbiguous.
var (
	// ErrNotApplied: the request has not taken effect and never will. It is safe to
	// make it again.
	ErrNotApplied = errors.New("not applied")
	// ErrAmbiguous: nobody knows whether the request has taken effect, or will. Making
	// it again may apply it twice.
	ErrAmbiguous = errors.New("it is not known whether it was applied")

	// ErrNotFound: there is no such key or member.
	ErrNotFound = errors.New("not found")
	// ErrMismatch: the condition of a compare-and-set does not hold. The Revision of
	// the *api.Error is that of the key, 0 if there is none. It matches ErrNotApplied
	// too.
	ErrMismatch = errors.New("the condition does not hold")
	// ErrCompacted: a watch from before what any server can tell of. Read the keys
	// anew, and watch from the revision of their first page.
	ErrCompacted = errors.New("the history begins later")
	// ErrInvalidConfig matches every error of a Config that New refuses.
	ErrInvalidConfig = errors.New("client: invalid config")
)

// failure is why there is no result: of one try or, from do, of all of them.
type failure struct {
	err error
	// code is what a server said, "" if it was none, or nothing that makes sense.
	code api.Code
	// again says that another server, or a later moment, may do better.
	again bool
	// ambiguous says that the request may have been applied, or may be yet.
	ambiguous bool
}

// answered returns the failure that a server told of.
func answered(from string, e *api.Error) *failure {
	f := &failure{err: fmt.Errorf("%s: %w", from, e), code: e.Code}
	switch e.Code {
	case api.CodeUnavailable, api.CodeInternal, api.CodeWrongCluster:
		f.again = true // an internal fault is of one server
	case api.CodeAmbiguous:
		f.again, f.ambiguous = true, true
	case api.CodeUnknownClient:
		// The try that was answered so did nothing. Those before it are do's concern.
	case api.CodeBadRequest, api.CodeTooLarge, api.CodeNotFound, api.CodeMismatch, api.CodeRefused,
		api.CodeTaken, api.CodeCompacted:
	default: // CodeSuperseded, and codes that this version does not know
		f.ambiguous = true
	}
	return f
}

// lost returns the failure of a try with no answer, or one that makes no sense.
func lost(err error, ambiguous bool) *failure {
	return &failure{err: err, again: true, ambiguous: ambiguous}
}

// ended returns the failure of a call whose context ended after the last try, if there was one.
func ended(ctx context.Context, last *failure) *failure {
	if last == nil {
		return &failure{err: ctx.Err()}
	}
	return &failure{err: fmt.Errorf("%w; last try: %w", ctx.Err(), last.err), ambiguous: last.ambiguous}
}

// sentinel returns what a caller may match for a code, or nil.
func sentinel(code api.Code) error {
	switch code {
	case api.CodeNotFound:
		return ErrNotFound
	case api.CodeMismatch:
		return ErrMismatch
	case api.CodeCompacted:
		return ErrCompacted
	}
	return nil
}

// readError returns f as the error of something that changes nothing; nil for nil.
func (f *failure) readError(what string) error {
	if f == nil {
		return nil
	}
	if s := sentinel(f.code); s != nil {
		return fmt.Errorf("client: %s: %w: %w", what, s, f.err)
	}
	return fmt.Errorf("client: %s: %w", what, f.err)
}

// writeError returns f as the error of a write or of a change of the membership; nil
// for nil.
func (f *failure) writeError(what string) error {
	if f == nil {
		return nil
	}
	if f.ambiguous {
		return fmt.Errorf("client: %s: %w: %w", what, ErrAmbiguous, f.err)
	}
	if s := sentinel(f.code); s != nil {
		return fmt.Errorf("client: %s: %w, %w: %w", what, ErrNotApplied, s, f.err)
	}
	return fmt.Errorf("client: %s: %w: %w", what, ErrNotApplied, f.err)
}
