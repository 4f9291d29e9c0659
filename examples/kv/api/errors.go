package api

import (
	"fmt"
	"net/http"
)

// Code says what an error is.
type Code string

// Codes of requests that were certainly not applied and never will be.
const (
	// CodeBadRequest: the request makes no sense; trying again does not help.
	CodeBadRequest Code = "bad_request"
	// CodeTooLarge: the key or the value exceeds its limit.
	CodeTooLarge Code = "too_large"
	// CodeNotFound: there is no such key, member or path.
	CodeNotFound Code = "not_found"
	// CodeMismatch: the condition of a compare-and-set does not hold; Revision is that
	// of the key, 0 if there is none.
	CodeMismatch Code = "mismatch"
	// CodeRefused: the change of membership, or the hand-over, is not possible now;
	// the message says why.
	CodeRefused Code = "refused"
	// CodeWrongCluster: the server that was asked is of another cluster than the request is
	// meant for.
	CodeWrongCluster Code = "wrong_cluster"
	// CodeTaken: a server cannot have the ID that it wants: it is, or was, another's.
	CodeTaken Code = "taken"
	// CodeUnavailable: it could not be done now, because no leader is known, too much
	// is waiting or the server stops. Try again, here or elsewhere.
	CodeUnavailable Code = "unavailable"
	// CodeCompacted: a watch from before the history that this server has. Read the
	// keys anew, and watch from there.
	CodeCompacted Code = "compacted"
	// CodeInternal: a fault of the server, before it came to apply anything.
	CodeInternal Code = "internal"
)

// Codes of requests of which nobody knows whether they were, or will be, applied.
const (
	// CodeAmbiguous: there was no outcome in time. A request with an ID may be tried
	// again.
	CodeAmbiguous Code = "ambiguous"
	// CodeUnknownClient: the client's ID is not, or no longer, known. An earlier try of
	// the request may have been applied.
	CodeUnknownClient Code = "unknown_client"
	// CodeSuperseded: a later request of the same client was applied. An earlier try of
	// this one may have been.
	CodeSuperseded Code = "superseded"
)

// Ambiguous says whether a request that ended so may have been applied, or may be later. So
// may one with a code that this version does not know.
func (c Code) Ambiguous() bool {
	switch c {
	case CodeBadRequest, CodeTooLarge, CodeNotFound, CodeMismatch, CodeRefused, CodeWrongCluster, CodeTaken, CodeUnavailable,
		CodeCompacted, CodeInternal:
		return false
	}
	return true
}

// Status returns the HTTP status that goes with the code.
func (c Code) Status() int {
	switch c {
	case CodeBadRequest:
		return http.StatusBadRequest
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeNotFound:
		return http.StatusNotFound
	case CodeMismatch:
		return http.StatusPreconditionFailed
	case CodeRefused, CodeTaken, CodeUnknownClient, CodeSuperseded:
		return http.StatusConflict
	case CodeWrongCluster:
		return http.StatusMisdirectedRequest
	case CodeUnavailable:
		return http.StatusServiceUnavailable
	case CodeCompacted:
		return http.StatusGone
	case CodeAmbiguous:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// Error is why a request failed. It is an error of Go's, too.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	// Revision goes with CodeMismatch, and with CodeCompacted: the earliest revision
	// that can be watched from.
	Revision uint64 `json:"revision,omitempty"`
}

// Errorf returns an Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error returns the message and the code.
func (e *Error) Error() string { return fmt.Sprintf("%s (%s)", e.Message, e.Code) }
