package client

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// fault handles a request in the place of serve.
type fault func(w http.ResponseWriter, r *http.Request, serve http.Handler)

// serveThenDrop applies the request, and closes the connection without an answer.
func serveThenDrop(_ http.ResponseWriter, r *http.Request, serve http.Handler) {
	serve.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// drop closes the connection without an answer.
func drop(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// say answers with an error.
func say(code api.Code) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { fail(w, api.Errorf(code, "said so")) }
}

// serveThenSay applies the request and answers with an error all the same.
func serveThenSay(code api.Code) fault {
	return func(w http.ResponseWriter, r *http.Request, serve http.Handler) {
		serve.ServeHTTP(httptest.NewRecorder(), r)
		fail(w, api.Errorf(code, "said so"))
	}
}

// garbage answers with what makes no sense.
func garbage(status int, text string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// endless answers for ever.
func endless(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	for piece := bytes.Repeat([]byte(" "), 64<<10); ; {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

// hang does not answer until the client gives up.
func hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }

// endThenHang ends a context in the middle of a try.
func endThenHang(end func()) fault {
	return func(w http.ResponseWriter, r *http.Request, serve http.Handler) {
		end()
		hang(w, r, serve)
	}
}

// sendOn redirects to the same path somewhere else.
func sendOn(to string) fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Location", to+r.RequestURI)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}
