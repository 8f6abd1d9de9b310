//go:build !linux

package reactor

// Where sendfile differs too much to be worth its own path, files are copied through a block.

import "errors"

var errNoSendFile = errors.New("reactor: sendfile not supported")

func sendFile(sock, file int, off, n int64) (int64, error) { return 0, errNoSendFile }
