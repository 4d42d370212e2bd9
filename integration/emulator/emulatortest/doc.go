// Package emulatortest starts an emulator for the tests of a source and connects to
// it: what all sources of a Microsoft tenant have to do before the first call.
//
// It is a kit for tests. It imports the emulator and decision/source/microsoft, and
// must never import a source. Start reading at [Connect].
package emulatortest
