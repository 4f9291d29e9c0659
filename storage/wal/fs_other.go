//go:build !linux

package wal

import "os"

func openDirect(string) *os.File { return nil }

func directRefused(error) bool { return false }

func syncData(f *os.File) error { return f.Sync() }
