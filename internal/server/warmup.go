package server

// --warmup: the first request of a process is its own. It comes on a connection that nobody else has, before the listeners
// are accepted from, and goes through all that others will go through.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
)

// warmUp begins it; when it has gone well connections are accepted and started is called, else the server stops. Before
// anybody leads.
func (s *Server) warmUp(started func()) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	f := os.NewFile(uintptr(fds[0]), "warm-up")
	conn, err := net.FileConn(f)
	_ = f.Close()
	if err != nil {
		closeFD(fds[1])
		return err
	}
	ln := s.listeners[0]
	s.http.Serve(ln, fds[1])
	host := "localhost"
	if ln.Network() == "tcp" {
		host += ":" + strconv.Itoa(ln.Port())
	}
	go func() {
		err := askOnce(conn, host, s.cfg.Warmup, s.cfg.Timeout)
		_ = conn.Close()
		if err == nil {
			err = s.acceptNow()
		}
		switch {
		case s.http.Stopping(): // it was told to, meanwhile
		case err == nil:
			s.serves(started)
		default:
			s.unfit.Store(true)
			s.status.Store(config.ExitBoot)
			s.log.Error("this process will not serve: --warmup " + s.cfg.Warmup + " " + err.Error())
			s.Stop(0)
		}
	}()
	return nil
}

// acceptNow is accept for a server that somebody leads.
func (s *Server) acceptNow() error {
	done := make(chan error, 1)
	s.loop.Post(func() {
		var err error
		if !s.http.Stopping() {
			err = s.accept()
		}
		done <- err
	})
	select {
	case err := <-done:
		return err
	case <-s.stopped:
		return errStopped
	}
}

// askOnce asks for path on conn and reads the answer to its end. An error goes on from "--warmup PATH".
func askOnce(conn net.Conn, host, path string, limit time.Duration) error {
	if limit > 0 {
		_ = conn.SetDeadline(time.Now().Add(limit))
	}
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gowsgi-warmup\r\nConnection: close\r\n\r\n", path, host)
	status := 100
	for r := bufio.NewReader(conn); err == nil && status < 200; {
		if status, err = readStatus(r); err == nil && status >= 200 {
			_, err = io.Copy(io.Discard, r)
		}
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("was not answered within --timeout (%s)", limit)
	case err != nil:
		return errors.New("was not answered to the end")
	case status >= 500:
		return fmt.Errorf("was answered with status %d", status)
	}
	return nil
}

// readStatus reads one head.
func readStatus(r *bufio.Reader) (status int, err error) {
	for first := true; ; first = false {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		line = strings.TrimSpace(line)
		if first {
			_, rest, _ := strings.Cut(line, " ")
			code, _, _ := strings.Cut(rest, " ")
			if status, err = strconv.Atoi(code); err != nil {
				return 0, err
			}
		} else if line == "" {
			return status, nil
		}
	}
}
