package source

import (
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

func users(t *testing.T, records ...decision.UserRecord) *Table {
	t.Helper()
	s := NewSweep(10)
	for _, u := range records {
		s.User(u)
	}
	table, err := s.Table()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestUserByIDAndName(t *testing.T) {
	ann := decision.UserRecord{ObjectID: guid(1, 1), UPN: "Ann@Corp.example", Enabled: decision.Yes, Risk: decision.LevelLow}
	risky := decision.UserRecord{ObjectID: guid(1, 1), Risk: decision.LevelHigh, Compromised: decision.Yes}
	byName := decision.UserRecord{UPN: "ann@corp.example", Enabled: decision.No}
	other := decision.UserRecord{ObjectID: guid(1, 2), UPN: "ANN@corp.example", Enabled: decision.Yes, Risk: decision.LevelNone}
	for _, tc := range []struct {
		name    string
		records []decision.UserRecord
		id, upn string
		want    decision.UserRecord
		found   bool
		count   int
	}{
		{"by id", []decision.UserRecord{ann}, guid(1, 1), "", ann, true, 1},
		{"by name, folded", []decision.UserRecord{ann}, "", "ANN@corp.EXAMPLE", ann, true, 1},
		{"id unknown, name known", []decision.UserRecord{byName}, guid(1, 9), "ann@corp.example", byName, true, 1},
		{"name of another person", []decision.UserRecord{ann}, guid(1, 9), "ann@corp.example", decision.UserRecord{}, false, 1},
		{"nobody", []decision.UserRecord{ann}, "", "", decision.UserRecord{}, false, 1},
		{"two records of one id", []decision.UserRecord{ann, risky}, guid(1, 1), "", decision.UserRecord{ObjectID: guid(1, 1), UPN: ann.UPN, Enabled: decision.Yes, Risk: decision.LevelHigh, Compromised: decision.Yes}, true, 1},
		{"id and a record by name", []decision.UserRecord{ann, byName}, guid(1, 1), "ann@corp.example", decision.UserRecord{ObjectID: guid(1, 1), UPN: ann.UPN, Enabled: decision.No, Risk: decision.LevelLow}, true, 2},
		{"two people of one name, by id", []decision.UserRecord{ann, other}, guid(1, 2), "", other, true, 2},
		{"two people of one name, by name", []decision.UserRecord{ann, other}, "", "ann@corp.example", decision.UserRecord{UPN: ann.UPN, Enabled: decision.Yes, Risk: decision.LevelLow}, true, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table := users(t, tc.records...)
			got, ok := table.User(tc.id, tc.upn)
			if ok != tc.found || got != tc.want {
				t.Errorf("User = %+v %t, want %+v %t", got, ok, tc.want, tc.found)
			}
			if table.Users() != tc.count {
				t.Errorf("Users = %d, want %d", table.Users(), tc.count)
			}
			n := 0
			for range table.AllUsers() {
				n++
			}
			if n != tc.count {
				t.Errorf("AllUsers has %d, want %d", n, tc.count)
			}
		})
	}
}

func TestBadUser(t *testing.T) {
	s := NewSweep(1)
	s.User(decision.UserRecord{Enabled: decision.Yes})
	if n, _ := s.BadRows(); n != 1 {
		t.Errorf("a user without id gives %d bad rows, want 1", n)
	}
}
