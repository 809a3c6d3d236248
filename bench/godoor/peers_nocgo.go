//go:build !cgo

package main

func cgoPeers() []peer { return nil }
