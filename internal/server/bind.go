package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/reactor"
)

// bindError is a failed Listen in one sentence.
func bindError(b config.Bind, err error) error {
	what := b.String()
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("the host %s cannot be found (%s): give an address or a name of this machine with --bind", dns.Name, dns.Err)
	case b.Network == "unix" && !strings.HasPrefix(b.Address, "@"):
		if complaint := pathComplaint(b.Address, err); complaint != "" {
			return fmt.Errorf("cannot listen on %s: %s", what, complaint)
		}
	case errors.Is(err, syscall.EBADF):
		return fmt.Errorf("cannot listen on %s: the descriptor is not open, so nobody handed it over", what)
	case errors.Is(err, syscall.ENOTSOCK):
		return fmt.Errorf("cannot listen on %s: the descriptor is no socket", what)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use: stop what listens there, or choose another address with --bind", what)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("no permission to listen on %s: ports below 1024 and some directories need more rights", what)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is no address of this machine: choose one with --bind", what)
	}
	return fmt.Errorf("cannot listen on %s: %w", what, err)
}

// pathComplaint is what is wrong with the place of a unix socket, "" if it is something else.
func pathComplaint(path string, err error) string {
	info, statErr := os.Lstat(path)
	dir := filepath.Dir(path)
	switch {
	case statErr == nil && info.IsDir():
		return "that is a directory; give the path of the socket in it, such as unix:" + filepath.Join(path, "gowsgi.sock")
	case statErr == nil && info.Mode()&os.ModeSocket == 0:
		return "a file that is no socket is in the way; remove it, or choose another path"
	case errors.Is(err, syscall.ENOENT):
		return "there is no directory " + dir + "; make it, or choose another path"
	case errors.Is(err, syscall.ENOTDIR):
		return dir + " is no directory; choose another path"
	}
	return ""
}

// listenLater binds an address that the configuration names now and has not named when the server was started. Descriptors have
// been handed over then, or are something else.
func listenLater(b config.Bind, cfg *config.Config, as *syscall.Credential) (*reactor.Listener, error) {
	if b.Network == "fd" {
		return nil, fmt.Errorf("cannot listen on %s: descriptors are handed over when the server is started", b)
	}
	if b.Network == "unix" && filepath.IsAbs(cfg.Chdir) && b.Address[0] != '@' && !filepath.IsAbs(b.Address) {
		b.Address = filepath.Join(cfg.Chdir, b.Address)
	}
	ln, err := listenOn(b, cfg)
	if err == nil {
		if err = giveSocket(as, ln); err != nil {
			_ = ln.Close()
		}
	}
	return ln, err
}
