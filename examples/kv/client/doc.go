// Package client talks to a cluster of the replicated key-value server. What goes over
// the wire is in package api.
//
//	c, err := client.New(client.Config{Endpoints: []string{"10.0.0.1:8000", "10.0.0.2:8000"}})
//	...
//	revision, err := c.Put(ctx, []byte("colour"), []byte("blue"))
//	entry, err := c.Get(ctx, []byte("colour"), api.Linearizable)
//
// A Client tries one server after the other until there is an outcome or the context
// of the call is done. So give it one that ends, and one that lasts for several times
// Config.Timeout: a server that hangs is left after that.
//
// # Outcomes of writes
//
// An error of a write, or of a change of the membership, matches ErrNotApplied if the
// request is certain not to have taken effect, now or later, so that it may be made
// again; otherwise it matches ErrAmbiguous: it may have taken effect, may do so later,
// or never. There is no third kind, and no error matches both. If a server said why, an
// *api.Error is in it, to be had with errors.As.
//
// # Once, however often it is tried
//
// Writes go through a Session, which has an ID at the servers and numbers its requests.
// A request whose answer got lost is sent again, to whatever server, with the same ID and
// number, and applied once. So a write is ambiguous only if its context ends before a
// server answers, or if the servers forgot the session in between. The methods of
// Client take sessions from a pool. A Session of one's own promises more: once a
// later write of it succeeded, an ambiguous one before can take effect no more, and a
// read tells what became of it.
//
// Changes of the membership have no such ID. They are tried again while it is certain
// that nothing happened, and are ambiguous as soon as it is not.
//
// # Servers
//
// The client stays with the server that answered last. Besides the endpoints that it is
// configured with it asks for those of the members now and then, so that it
// finds the cluster when all of the former are gone.
package client
