package emulatortest

import (
	"slices"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// Replace makes the devices with these names the whole fleet. One that is there
// already stays the same device; a new one, for which fresh is true, is a healthy
// laptop that is joined and managed. show then has each say what the test wants: i is
// its place among the names.
func Replace(e *emulator.Server, names []string, show func(d *emulator.Device, i int, fresh bool)) {
	before := e.Devices()
	e.Update(func(f *emulator.Fleet) {
		for _, d := range before {
			if !slices.Contains(names, d.Name) {
				f.RemoveDevice(d)
			}
		}
		for i, name := range names {
			d := f.Device(name)
			fresh := d == nil
			if fresh {
				d = f.AddDevice(nil)
				d.Name = name
			}
			show(d, i, fresh)
		}
	})
}
