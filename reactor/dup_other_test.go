//go:build !linux

package reactor

import "golang.org/x/sys/unix"

func dupOnto(fd, to int) error { return unix.Dup2(fd, to) }
