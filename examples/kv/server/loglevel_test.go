package server

import "go.uber.org/zap/zapcore"

// logLevel is what tests print of the servers' logs when they fail or are verbose.
const logLevel = zapcore.InfoLevel
