//go:build !linux

package server

func punctual() (undo func()) { return func() {} }
