// Package python has the sources of the Python package gowsgi, for the program, which is not installed into the Python
// that it runs.
package python

import "embed"

// Package is every module below gowsgi, and carried.py, which imports them from here. A pattern for each depth: directories
// would bring along what is built and cached in them. package_test.go tells when a file is missing.
//
//go:embed carried.py gowsgi/*.py gowsgi/*/*.py gowsgi/*/*/*.py gowsgi/*/*/*/*.py
var Package embed.FS
