package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

type object = map[string]any

// service writes what the two in-house systems of examples/httpjson answer with: an
// inventory with a file for each device, a sensor with a file for each page of its
// list, and the token that both want.
func service(f folder, now time.Time) error {
	for _, dir := range []string{"service/devices", "service/machines"} {
		err := os.MkdirAll(filepath.Join(string(f), dir), 0o700)
		if err != nil {
			return err
		}
	}
	seen := now.Add(-time.Hour).UTC().Format(time.RFC3339)
	files := map[string]any{}
	for id, d := range map[string]object{
		goodID: {"name": "LAPTOP-GOOD", "state": "in order", "disk": "encrypted", "checks": []object{{"title": "Firewall", "passed": true}}},
		badID: {"name": "LAPTOP-BAD", "state": "to be repaired", "disk": "plain", "checks": []object{
			{"title": "Firewall", "passed": false}, {"title": "Screen lock", "passed": true},
		}},
		graceID: {"name": "LAPTOP-GRACE", "state": "under review", "disk": "encrypted", "checks": []object{}},
	} {
		d["entra_id"], d["seen"] = id, seen
		d["os"] = object{"family": "Windows 11", "version": "10.0.26100.2314"}
		files["devices/"+id] = object{"device": d}
	}
	for n, page := range [][]object{
		{{"entra_id": goodID, "score": 12}, {"entra_id": badID, "score": 81}}, {{"entra_id": graceID, "score": 5}}, {},
	} {
		files[fmt.Sprintf("machines/%d", n+1)] = object{"machines": page}
	}
	for name, answer := range files {
		raw, err := json.MarshalIndent(answer, "", "  ")
		if err == nil {
			err = f.write("service/"+name+".json", append(raw, '\n'))
		}
		if err != nil {
			return err
		}
	}
	var token [16]byte
	_, _ = rand.Read(token[:]) // never fails since Go 1.24
	return f.write("service.token", []byte(hex.EncodeToString(token[:])+"\n"))
}
