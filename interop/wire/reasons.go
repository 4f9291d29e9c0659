package wire

// reason is why one side takes bytes that the other refuses.
type reason string

const (
	// Only we decode our own fields, so only we see what is wrong in one.
	badOwnField reason = "wrong in a field of our own"
	// Only the peer decodes Message.responses.
	badResponses reason = "wrong in Message.responses"
	// Google's library keeps a known field with the wire type of another as unknown; gogo's refuses it.
	otherWireType reason = "wire type of another field"
	// Google's library refuses a field number of more than 29 bits, and in a group that is skipped one of more than 31 or
	// zero; gogo's takes the lower 32 bits of one, and in such a group any.
	badNumber reason = "field number that is none"
	// Google's library refuses a varint of more than 64 bits; gogo's drops what is beyond, up to ten bytes.
	longVarint reason = "varint of more than 64 bits"
	// Google's library wants the end of a group to have its number, and groups to nest no deeper than groupDepth.
	badGroup reason = "end of another group, or groups too deep"
	// Google's library refuses packed numbers that end within one; gogo's reads on to the end of the number, and then finds
	// other fields than are there.
	badPacked reason = "packed numbers that end within one"
)

// lax are what gogo's code takes and Google's library does not.
var lax = []reason{badNumber, longVarint, badGroup, badPacked}

const (
	// groupDepth is how deep Google's library lets groups nest that it skips.
	groupDepth = 10_001
	// messageDepth is the same for messages.
	messageDepth = 10_000
)

// weRefuse has the reasons for which we refuse what the peer takes, theyRefuse the reverse. Each is about one field:
// repair says which, and how the other side reads it.
func weRefuse(p Peer) []reason {
	if p.GoogleReader() {
		return []reason{badOwnField, otherWireType}
	}
	return []reason{badOwnField}
}

func theyRefuse(p Peer) []reason {
	if p.GoogleReader() {
		return append([]reason{badResponses}, lax...)
	}
	return []reason{badResponses}
}

// oneOf reports whether any of the reasons was found.
func oneOf(reasons []reason, found map[reason]bool) bool {
	for _, r := range reasons {
		if found[r] {
			return true
		}
	}
	return false
}
