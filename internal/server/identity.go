package server

// Who the application runs as: --user, --group, --initgroups. A master starts its workers as that user, so that nothing of
// Python's ever runs as root; a single process becomes it between binding and the application's loading.

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/reactor"
)

// identityOf looks up who is asked for; nil: who the process is already. An error is one plain sentence.
func identityOf(cfg *config.Config) (*syscall.Credential, error) {
	uid, gid := os.Geteuid(), os.Getegid()
	groups := []int(nil)
	if cfg.User != "" {
		u, err := lookUser(cfg.User)
		var missing *config.UsageError
		if n, isNumber := strconv.Atoi(cfg.User); errors.As(err, &missing) && isNumber == nil && cfg.GroupName != "" {
			u = &user.User{Uid: strconv.Itoa(n), Gid: strconv.Itoa(gid)}
		} else if err != nil {
			return nil, err
		}
		uid, _ = strconv.Atoi(u.Uid)
		gid, _ = strconv.Atoi(u.Gid)
		if cfg.InitGroups && u.Username != "" {
			ids, err := u.GroupIds()
			if err != nil {
				return nil, fmt.Errorf("the groups of %s cannot be found out: %w", cfg.User, err)
			}
			for _, id := range ids {
				n, _ := strconv.Atoi(id)
				groups = append(groups, n)
			}
		}
	}
	if cfg.GroupName != "" {
		var err error
		if gid, err = lookGroup(cfg.GroupName); err != nil {
			return nil, err
		}
	}
	if uid == os.Geteuid() && gid == os.Getegid() {
		return nil, nil
	}
	if !mayBecome() {
		return nil, &config.UsageError{Message: "this process may not change its user or group, which takes root's rights " +
			"(CAP_SETUID and CAP_SETGID): start it as root, or leave --user and --group out"}
	}
	if !slices.Contains(groups, gid) {
		groups = append(groups, gid)
	}
	who := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, g := range groups {
		who.Groups = append(who.Groups, uint32(g))
	}
	return who, nil
}

func lookUser(name string) (*user.User, error) {
	u, err := user.Lookup(name)
	if _, numeric := strconv.ParseUint(name, 10, 31); err != nil && numeric == nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, &config.UsageError{Message: "the user " + name + " has no name on this machine, and so no group: give one with --group"}
		}
	}
	if err != nil {
		return nil, &config.UsageError{Message: fmt.Sprintf("there is no user %q: give the name or the number of one with --user", name)}
	}
	return u, nil
}

func lookGroup(name string) (int, error) {
	if g, err := user.LookupGroup(name); err == nil {
		return strconv.Atoi(g.Gid)
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	return 0, &config.UsageError{Message: fmt.Sprintf("there is no group %q: give the name or the number of one with --group", name)}
}

// give makes log files and the unix sockets that we have bound theirs.
func give(who *syscall.Credential, cfg *config.Config, listeners []*reactor.Listener) error {
	if who == nil {
		return nil
	}
	for i, ln := range listeners {
		if cfg.Bind[i].Network == "unix" {
			if err := giveSocket(who, ln); err != nil {
				return err
			}
		}
	}
	return giveLogs(who, cfg)
}

func giveSocket(who *syscall.Credential, ln *reactor.Listener) error {
	path := ln.Path()
	if who == nil || path == "" || path[0] == '@' {
		return nil
	}
	if err := os.Chown(path, int(who.Uid), int(who.Gid)); err != nil {
		return fmt.Errorf("the unix socket cannot be given to its user: %w", err)
	}
	return nil
}

// giveLogs is for before they open them: log files come to be by it, as they would not by them in a directory of root's.
func giveLogs(who *syscall.Credential, cfg *config.Config) error {
	if who == nil {
		return nil
	}
	for _, path := range []string{cfg.ErrorLog, cfg.AccessLog} {
		if path == "" || path == "-" {
			continue
		}
		if filepath.IsAbs(cfg.Chdir) && !filepath.IsAbs(path) { // the next workers' directory, if not this process's
			path = filepath.Join(cfg.Chdir, path)
		}
		if err := giveLog(who, path); err != nil {
			return err
		}
	}
	return nil
}

// giveLog: what a link points at is not given, as whoever owns the directory could have any file of root's; and a pipe that
// has no reader holds nobody up.
func giveLog(who *syscall.Credential, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return nil
	}
	if err != nil {
		return &config.UsageError{Message: "the log file cannot be opened: " + err.Error()}
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFCHR && st.Nlink == 1 { // /dev/null stays everybody's
		if err := f.Chown(int(who.Uid), int(who.Gid)); err != nil {
			return fmt.Errorf("the log file cannot be given to its user: %w", err)
		}
	}
	return nil
}

// identity is who a single process is to become; a worker is that already.
func (s *Server) identity() (*syscall.Credential, error) {
	if workerOf != nil {
		return nil, nil
	}
	return identityOf(s.cfg)
}

// become makes the process who's, if who is not nil. What only root may write is written before: the pid file, which is not
// to be the application's either, as root's tools believe it.
func (s *Server) become(who *syscall.Credential) error {
	if who == nil {
		return nil
	}
	if err := give(who, s.cfg, s.listeners); err != nil {
		return err
	}
	if err := writePidFile(s.cfg.PidFile); err != nil {
		return err
	}
	return become(who)
}

// become is for a process with threads: libc sees to all of them.
func become(who *syscall.Credential) error {
	if who == nil {
		return nil
	}
	groups := make([]int, len(who.Groups))
	for i, g := range who.Groups {
		groups[i] = int(g)
	}
	for _, err := range []error{syscall.Setgroups(groups), syscall.Setgid(int(who.Gid)), syscall.Setuid(int(who.Uid))} {
		if err != nil {
			return fmt.Errorf("the process cannot become user %d: %w", who.Uid, err)
		}
	}
	if os.Getuid() != int(who.Uid) || unix.Geteuid() != int(who.Uid) {
		return fmt.Errorf("the process has not become user %d", who.Uid)
	}
	return nil
}
