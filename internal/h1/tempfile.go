package h1

// Temporary files without a name, for what does not fit into memory.

import (
	"os"

	"golang.org/x/sys/unix"
)

// AdviseOnTempDir says at the start what would be found out by the first large request, as with a read-only root.
func (s *Server) AdviseOnTempDir() {
	fd, err := s.tempFD()
	if err != nil {
		s.log.Warn("no temporary file can be made, so applications wait for slow clients, and for large bodies of their requests: "+
			"name a directory with --temp-dir", "error", err)
		return
	}
	_ = unix.Close(fd)
}

// tempFile opens one.
func (s *Server) tempFile() (*os.File, error) {
	fd, err := s.tempFD()
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "temporary file"), nil
}

// tempFD is tempFile as a descriptor, which the caller closes.
func (s *Server) tempFD() (int, error) {
	if fd, ok := openNameless(s.cfg.TempDir); ok {
		return fd, nil
	}
	f, err := os.CreateTemp(s.cfg.TempDir, "gowsgi-*")
	if err != nil {
		return -1, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return -1, err
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	return fd, os.NewSyscallError("fcntl", err)
}
