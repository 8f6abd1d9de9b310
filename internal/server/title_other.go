//go:build !linux

package server

import "github.com/gowsgi/gowsgi/internal/config"

func setTitle(string, *config.Config) {}
