package transport

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logInterval is the least time between two lines of one kind.
const logInterval = time.Second

// maxLogKinds bounds what is remembered of earlier lines.
const maxLogKinds = 4096

// limitedLog writes a line of one kind once in an interval, with the number of
// those that it left out, so that a stranger cannot fill a disk.
type limitedLog struct {
	logger *zap.Logger

	mu    sync.Mutex
	kinds map[logKind]*logState
}

type logKind struct {
	what string
	node uint64 // 0 unless the line is about a peer
}

type logState struct {
	next       time.Time
	suppressed int
}

func newLimitedLog(logger *zap.Logger) *limitedLog {
	return &limitedLog{logger: logger, kinds: make(map[logKind]*logState)}
}

// log writes the line unless one of its kind and node was written lately.
func (l *limitedLog) log(level zapcore.Level, what string, node uint64, fields ...zap.Field) {
	entry := l.logger.Check(level, what)
	if entry == nil {
		return
	}
	now := time.Now()
	l.mu.Lock()
	s := l.kinds[logKind{what, node}]
	if s == nil {
		if len(l.kinds) >= maxLogKinds {
			clear(l.kinds)
		}
		s = new(logState)
		l.kinds[logKind{what, node}] = s
	}
	if now.Before(s.next) {
		s.suppressed++
		l.mu.Unlock()
		return
	}
	suppressed := s.suppressed
	s.next, s.suppressed = now.Add(logInterval), 0
	l.mu.Unlock()
	if node != 0 {
		fields = append(fields, zap.Uint64("peer", node))
	}
	if suppressed > 0 {
		fields = append(fields, zap.Int("suppressed", suppressed))
	}
	entry.Write(fields...)
}
