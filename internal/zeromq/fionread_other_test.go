//go:build !linux

package zeromq

const fionread = 0x4004667f // FIONREAD of the BSDs
