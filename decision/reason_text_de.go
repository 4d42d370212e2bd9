package decision

import (
	"fmt"
	"time"
)

var deMonths = [...]string{
	"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember",
}

// Steps that several reasons share.
var (
	deCheckStatus = steps{
		"Öffnen Sie die App Ihrer Firma zur Geräteverwaltung, wählen Sie dieses Gerät und prüfen Sie seinen Status.",
		Windows: "Öffnen Sie das Unternehmensportal, wählen Sie dieses Gerät und dann „Zugriff überprüfen“.",
		MacOS:   "Öffnen Sie das Unternehmensportal, wählen Sie dieses Gerät und dann „Status überprüfen“.",
		IOS:     "Öffnen Sie das Unternehmensportal, tippen Sie auf Geräte, dann auf dieses Gerät und auf „Status überprüfen“.",
		Android: "Öffnen Sie das Unternehmensportal, tippen Sie auf dieses Gerät und dann auf „Geräteeinstellungen überprüfen“.",
		Linux:   "Öffnen Sie die App Microsoft Intune, wählen Sie dieses Gerät und aktualisieren Sie seinen Status.",
	}
	deEnrol = steps{
		"Melden Sie dieses Gerät bei der Geräteverwaltung Ihrer Firma an. Die IT sagt Ihnen, wie das geht.",
		Windows: "Öffnen Sie Einstellungen > Konten > Auf Arbeits- oder Schulkonto zugreifen, wählen Sie Verbinden und melden Sie sich mit Ihrem Firmenkonto an.",
		MacOS:   "Installieren Sie das Unternehmensportal, melden Sie sich mit Ihrem Firmenkonto an und folgen Sie den Schritten zum Einrichten dieses Mac.",
		IOS:     "Installieren Sie das Unternehmensportal aus dem App Store, melden Sie sich mit Ihrem Firmenkonto an und folgen Sie den Schritten.",
		Android: "Installieren Sie das Unternehmensportal aus Google Play, melden Sie sich mit Ihrem Firmenkonto an und folgen Sie den Schritten.",
		Linux:   "Installieren Sie die App Microsoft Intune, melden Sie sich mit Ihrem Firmenkonto an und registrieren Sie dieses Gerät.",
	}
	deEncrypt = steps{
		"Schalten Sie in den Einstellungen des Geräts die Verschlüsselung ein und lassen Sie es am Netzteil, bis sie fertig ist.",
		Windows: "Öffnen Sie Einstellungen, suchen Sie nach „BitLocker“ oder „Geräteverschlüsselung“ und schalten Sie sie ein. Lassen Sie das Gerät am Netzteil, bis sie fertig ist.",
		MacOS:   "Öffnen Sie Systemeinstellungen > Datenschutz & Sicherheit > FileVault und schalten Sie es ein. Lassen Sie den Mac am Netzteil, bis es fertig ist.",
		IOS:     "Öffnen Sie Einstellungen > Face ID & Code (oder Touch ID & Code) und schalten Sie den Code ein. Damit ist das Gerät verschlüsselt.",
		Android: "Öffnen Sie Einstellungen > Sicherheit, richten Sie eine Displaysperre ein und schalten Sie die Verschlüsselung ein, wenn sie angeboten wird.",
		Linux:   "Das Laufwerk muss mit LUKS verschlüsselt sein. Das wird bei der Installation von Linux eingerichtet. Fragen Sie die IT, bevor Sie neu installieren.",
	}
	deUpdate = steps{
		"Installieren Sie alle Updates des Betriebssystems und starten Sie das Gerät neu.",
		Windows:  "Öffnen Sie Einstellungen > Windows Update, wählen Sie „Nach Updates suchen“, installieren Sie alles und starten Sie neu.",
		MacOS:    "Öffnen Sie Systemeinstellungen > Allgemein > Softwareupdate, installieren Sie alles und starten Sie neu.",
		IOS:      "Öffnen Sie Einstellungen > Allgemein > Softwareupdate und installieren Sie das Update.",
		Android:  "Öffnen Sie Einstellungen > System > Systemupdate (auf manchen Geräten: Software-Update) und installieren Sie das Update.",
		Linux:    "Installieren Sie alle Updates mit Ihrer Paketverwaltung (zum Beispiel: sudo apt update && sudo apt full-upgrade) und starten Sie neu.",
		ChromeOS: "Öffnen Sie Einstellungen > Über ChromeOS, wählen Sie „Nach Updates suchen“ und starten Sie neu.",
	}
	deScan = steps{
		"Starten Sie mit Ihrem Virenschutz eine vollständige Überprüfung, folgen Sie seinem Rat und starten Sie neu. Öffnen Sie keine Dateien oder Links, denen Sie nicht trauen.",
		Windows: "Öffnen Sie Windows-Sicherheit > Viren- & Bedrohungsschutz, starten Sie eine vollständige Überprüfung, folgen Sie dem Rat und starten Sie neu.",
		MacOS:   "Öffnen Sie Microsoft Defender, starten Sie eine vollständige Überprüfung, folgen Sie dem Rat und starten Sie neu.",
		IOS:     "Öffnen Sie Microsoft Defender, folgen Sie dem Rat und entfernen Sie Apps oder Profile, die Sie nicht kennen.",
		Android: "Öffnen Sie Microsoft Defender, starten Sie eine Überprüfung und entfernen Sie die genannten Apps.",
	}
	deAskIT      = steps{"Wenden Sie sich an die IT und nennen Sie die Vorgangsnummer."}
	deTryLater   = steps{"Warten Sie einen Moment und versuchen Sie es erneut. Wenn es so bleibt, wenden Sie sich an die IT und nennen Sie die Vorgangsnummer."}
	deOpenAgain  = steps{"Gehen Sie zurück und öffnen Sie die Seite neu. Wenn Sie einem Link gefolgt sind, sagen Sie seinem Betreiber, dass er nicht funktioniert."}
	deDeviceSign = steps{
		"Benutzen Sie Ihr Firmengerät und melden Sie sich im Browser mit Ihrem Firmenkonto an. Wenn nach einem Zertifikat gefragt wird, wählen Sie das Ihrer Firma.",
		Windows: "Benutzen Sie Ihren Firmen-PC mit Edge oder einem anderen Browser, der mit Ihrem Firmenkonto angemeldet ist. Wenn nach einem Zertifikat gefragt wird, wählen Sie das Ihrer Firma.",
		IOS:     "Benutzen Sie Safari oder Edge auf Ihrem Firmengerät. Wenn nach einem Zertifikat gefragt wird, wählen Sie das Ihrer Firma.",
		Android: "Benutzen Sie Edge oder Chrome im Arbeitsprofil. Wenn nach einem Zertifikat gefragt wird, wählen Sie das Ihrer Firma.",
	}
	deUnroot = steps{
		"Setzen Sie das Gerät auf die Originalsoftware zurück, richten Sie es neu ein und melden Sie es wieder an.",
		IOS:     "Sichern Sie Ihre Daten, stellen Sie mit einem Computer das originale iOS wieder her, richten Sie das Gerät neu ein und melden Sie es wieder an.",
		Android: "Sichern Sie Ihre Daten, setzen Sie das Gerät auf die Originalsoftware zurück, sperren Sie den Bootloader und melden Sie das Gerät wieder an.",
	}
)

var german = language{
	date: func(t time.Time) string {
		return fmt.Sprintf("%d. %s %d, %s Uhr UTC", t.Day(), deMonths[t.Month()-1], t.Year(), t.Format("15:04"))
	},
	more:    " und {0} weitere",
	openApp: "Öffnen Sie auf diesem Gerät {0} und folgen Sie den Hinweisen dort.",
	managers: [numManagers]manager{
		ManagerIntune: {
			steps{"Unternehmensportal", Linux: "Microsoft Intune"},
			"Dieses Gerät wird von Microsoft Intune verwaltet.", deCheckStatus,
		},
		ManagerConfigMgr: {
			steps{"Softwarecenter"},
			"Dieses Gerät wird vom Configuration Manager verwaltet.",
			steps{"Öffnen Sie Softwarecenter > Gerätekonformität und wählen Sie „Konformität prüfen“."},
		},
		ManagerPartner: {
			steps{},
			"Die Geräteverwaltung Ihrer Firma betreut dieses Gerät.",
			steps{"Öffnen Sie auf diesem Gerät die App der Geräteverwaltung Ihrer Firma und folgen Sie ihr."},
		},
	},
	phrases: [NumReasons]phrase{
		MalformedRequest:     {"Die Anfrage war nicht richtig aufgebaut.", "", deOpenAgain},
		AmbiguousCredentials: {"Die Anfrage enthielt mehr als eine Anmeldung.", "", steps{"Schließen Sie alle Browserfenster, öffnen Sie die Seite neu und melden Sie sich einmal an."}},
		PathNotAllowed:       {"Die Adresse enthält Zeichen, die nicht erlaubt sind.", "", deOpenAgain},
		MethodNotAllowed:     {"Diese Art von Anfrage ist hier nicht erlaubt.", "", deOpenAgain},
		OriginNotAllowed:     {"Die Anfrage kam von einer Website, die diese hier nicht benutzen darf.", "", steps{"Öffnen Sie diese Website direkt statt über die andere."}},
		PreflightNotAllowed:  {"Eine andere Website darf diese hier nicht aufrufen.", "", deAskIT},
		EarlyData:            {"Die Anfrage kam, bevor die Verbindung ganz gesichert war.", "", steps{"Versuchen Sie es erneut."}},
		MisdirectedRequest:   {"Die Anfrage kam bei der falschen Website auf diesem Server an.", "", steps{"Schließen Sie den Browser und öffnen Sie die Seite neu."}},

		InvalidToken:              {"Ihre Anmeldung ist ungültig oder abgelaufen.", "", steps{"Melden Sie sich in der App ab und wieder an."}},
		CertificateInvalid:        {"Das Zertifikat dieses Geräts wird nicht angenommen: Es ist abgelaufen, wurde gesperrt oder ist von der falschen Art.", "", steps{"Bitten Sie die IT um ein neues Gerätezertifikat."}},
		KeysUnavailable:           {"Ihre Anmeldung konnte gerade nicht geprüft werden.", "", deTryLater},
		RevocationListUnavailable: {"Das Zertifikat dieses Geräts konnte gerade nicht geprüft werden.", "", deTryLater},

		SignInRequired:   {"Sie sind nicht angemeldet.", "", steps{"Melden Sie sich mit Ihrem Firmenkonto an."}},
		GroupMissing:     {"Ihr Konto ist in keiner Gruppe, die diese Seite benutzen darf.", "Ihr Konto ist in keiner Gruppe, die diese Seite benutzen darf. Eine davon genügt: {0}.", steps{"Bitten Sie die IT oder den Betreiber dieser Seite um Zugriff."}},
		GroupsUnknown:    {"Wir konnten nicht feststellen, zu welchen Gruppen Ihr Konto gehört.", "", deAskIT},
		ClientNotAllowed: {"Die App, die Sie benutzen, darf diese Seite nicht öffnen.", "Die App {0} darf diese Seite nicht öffnen.", steps{"Benutzen Sie die App Ihrer Firma oder bitten Sie die IT, diese hier zu erlauben."}},
		UserRiskTooHigh:  {"An Ihrem Konto sieht etwas unsicher aus.", "", steps{"Ändern Sie Ihr Kennwort und melden Sie sich neu an. Wenn Sie das nicht erwartet haben, wenden Sie sich an die IT."}},
		NotOwner:         {"Dieses Gerät ist auf jemand anderen registriert.", "", steps{"Benutzen Sie Ihr eigenes Firmengerät. Wenn dieses jetzt Ihnen gehört, bitten Sie die IT, es auf Sie zu registrieren."}},

		Revoked:           {"Der Zugriff wurde entzogen.", "", deAskIT},
		UserDisabled:      {"Ihr Konto ist deaktiviert.", "", deAskIT},
		UserCompromised:   {"Ihr Konto ist gesperrt, weil es vielleicht jemand anderes benutzt hat.", "", steps{"Wenden Sie sich sofort an die IT, am besten telefonisch, und nennen Sie die Vorgangsnummer."}},
		DeviceDisabled:    {"Dieses Gerät ist im Firmenverzeichnis deaktiviert.", "", deAskIT},
		DeviceRetired:     {"Dieses Gerät wird außer Betrieb genommen.", "", steps{"Benutzen Sie ein anderes Firmengerät. Wenn das ein Irrtum ist, wenden Sie sich an die IT."}},
		Jailbroken:        {"Der Schutz des Betriebssystems wurde auf diesem Gerät entfernt.", "", deUnroot},
		DeviceCompromised: {"Dieses Gerät steht vielleicht unter der Kontrolle eines Angreifers.", "", steps{"Trennen Sie dieses Gerät vom Netz und wenden Sie sich sofort an die IT, am besten telefonisch."}},

		DeviceUnidentified: {"Wir konnten nicht feststellen, welches Gerät Sie benutzen.", "", deDeviceSign},
		DeviceUnknown:      {"Die Geräteverwaltung kennt dieses Gerät nicht.", "", deEnrol},
		DeviceAmbiguous:    {"Die Kennungen dieses Geräts gehören zu mehr als einem Gerät.", "", deAskIT},
		NotManaged:         {"Ihre Firma verwaltet dieses Gerät nicht.", "", deEnrol},
		Noncompliant:       {"Dieses Gerät erfüllt die Regeln Ihrer Firma nicht.", "Dieses Gerät erfüllt die Regeln Ihrer Firma nicht. Zu beheben: {0}.", deCheckStatus},
		GracePeriod:        {"Dieses Gerät erfüllt die Regeln Ihrer Firma nicht. Sie können es noch für kurze Zeit benutzen.", "Dieses Gerät erfüllt die Regeln Ihrer Firma nicht. Sie können es noch bis {0} benutzen.", deCheckStatus},
		GraceExpired:       {"Die Frist, in der dieses Gerät die Regeln Ihrer Firma erfüllen musste, ist vorbei.", "Die Frist, in der dieses Gerät die Regeln Ihrer Firma erfüllen musste, endete am {0}.", deCheckStatus},
		NotEncrypted:       {"Der Speicher dieses Geräts ist nicht verschlüsselt.", "", deEncrypt},
		NotUpdated:         {"Auf diesem Gerät fehlen Updates.", "", deUpdate},
		MalwareActive:      {"Auf diesem Gerät ist Schadsoftware aktiv.", "", deScan},
		RiskTooHigh:        {"Auf diesem Gerät wurde eine Bedrohung gefunden.", "", deScan},
		OSTooOld:           {"Das Betriebssystem dieses Geräts ist zu alt.", "{0} ist zu alt. Nötig ist mindestens {1}.", deUpdate},
		OSNotAllowed:       {"Diese Art von Gerät darf hier nicht benutzt werden.", "Geräte mit {0} dürfen hier nicht benutzt werden.", steps{"Benutzen Sie ein anderes Firmengerät oder fragen Sie die IT, welche erlaubt sind."}},
		TrustMissing:       {"Dieses Gerät ist nicht so in das Firmenverzeichnis eingebunden, wie es nötig ist.", "", steps{"Benutzen Sie ein Gerät, das Ihre Firma eingerichtet hat, oder bitten Sie die IT, dieses einzubinden."}},
		NotCorporate:       {"Das ist ein privates Gerät. Erlaubt sind nur Geräte, die Ihrer Firma gehören.", "", steps{"Benutzen Sie ein Gerät, das Ihrer Firma gehört. Wenn dieses eines ist, bitten Sie die IT, es so einzutragen."}},
		CheckInTooOld:      {"Dieses Gerät hat sich zu lange nicht bei der Geräteverwaltung gemeldet.", "Dieses Gerät hat sich zuletzt am {0} bei der Geräteverwaltung gemeldet. Das ist zu lange her.", deCheckStatus},
		ProofTooWeak:       {"Dieses Gerät hat sich nicht sicher genug ausgewiesen.", "", steps{"Bitten Sie die IT um ein Gerätezertifikat. Wenn der Browser nach einem Zertifikat fragt, wählen Sie das Ihrer Firma."}},
		NetworkNotAllowed:  {"Diese Seite lässt sich aus Ihrem Netz nicht öffnen.", "", steps{"Verbinden Sie sich mit dem Firmennetz oder VPN und versuchen Sie es erneut."}},
		ExpressionFailed:   {"Eine Regel Ihrer Firma für diese Seite ist nicht erfüllt.", "{0}", deAskIT},
		FactUnknown:        {"Etwas, das wir über dieses Gerät wissen müssen, wird nicht gemeldet.", "Wir konnten nicht feststellen, ob diese Regel erfüllt ist: {0}", deAskIT},

		NotLoaded:       {"Die Angaben über die Geräte werden noch geladen.", "", deTryLater},
		VerdictExpired:  {"Was wir über dieses Gerät wissen, ist zu alt, um darauf zu bauen.", "", deTryLater},
		SourceFailing:   {"Der Dienst zur Geräteverwaltung antwortet nicht.", "", deTryLater},
		SourceThrottled: {"Der Dienst zur Geräteverwaltung ist ausgelastet.", "", deTryLater},
		LookupTimeout:   {"Der Dienst zur Geräteverwaltung hat zu lange gebraucht.", "", deTryLater},

		StepUpRequired:    {"Hier ist eine stärkere Anmeldung nötig.", "", steps{"Melden Sie sich neu an und bestätigen Sie die Anmeldung, zum Beispiel mit Ihrer Authentifizierungs-App oder Ihrem Sicherheitsschlüssel."}},
		StepUpUnavailable: {"Hier ist eine stärkere Anmeldung nötig, aber diese App kann Sie nicht danach fragen.", "", steps{"Melden Sie sich in der App ab und mit Authentifizierungs-App oder Sicherheitsschlüssel wieder an. Wenn das nicht hilft, wenden Sie sich an die IT."}},
	},
	exact: map[Reason]map[string]string{
		Revoked: {
			"device":      "Der Zugriff von diesem Gerät wurde entzogen.",
			"user":        "Der Zugriff für Ihr Konto wurde entzogen.",
			"certificate": "Das Zertifikat dieses Geräts wurde gesperrt.",
			"session":     "Ihre Sitzung wurde beendet.",
		},
		DeviceRetired: {
			"retiring": "Dieses Gerät wird aus der Geräteverwaltung entfernt.",
			"wiping":   "Dieses Gerät wird gelöscht.",
			"revoked":  "Dieses Gerät wurde aus der Geräteverwaltung entfernt.",
		},
		UserRiskTooHigh: {
			"low":    "Ihr Konto hat ein niedriges Risiko. Für diese Seite darf es keines haben.",
			"medium": "Ihr Konto hat ein mittleres Risiko. Das ist für diese Seite zu hoch.",
			"high":   "Ihr Konto hat ein hohes Risiko. Das ist für diese Seite zu hoch.",
		},
		RiskTooHigh: {
			"low":    "Auf diesem Gerät wurde eine Bedrohung gefunden. Das Risiko ist niedrig, aber diese Seite erlaubt keines.",
			"medium": "Auf diesem Gerät wurde eine Bedrohung gefunden. Das Risiko ist mittel und damit für diese Seite zu hoch.",
			"high":   "Auf diesem Gerät wurde eine Bedrohung gefunden. Das Risiko ist hoch und damit für diese Seite zu hoch.",
		},
		TrustMissing: {
			"joined":        "Dieses Gerät ist nur in das Cloud-Verzeichnis eingebunden. Diese Seite braucht eine andere Einbindung.",
			"hybrid_joined": "Dieses Gerät ist auch in das lokale Verzeichnis eingebunden. Diese Seite braucht eine andere Einbindung.",
			"registered":    "Dieses Gerät ist im Firmenverzeichnis nur registriert, nicht eingebunden.",
			"none":          "Dieses Gerät steht nicht im Firmenverzeichnis.",
		},
		ProofTooWeak: {
			"attested":              "Nur Ihre Anmeldung bürgt für dieses Gerät. Diese Seite braucht einen stärkeren Nachweis.",
			"token":                 "Nur eine App hat dieses Gerät genannt. Diese Seite braucht einen stärkeren Nachweis, etwa ein Gerätezertifikat.",
			"bound_token":           "Diese Seite braucht ein Gerätezertifikat auf der Verbindung selbst.",
			"forwarded_certificate": "Diese Seite braucht ein Gerätezertifikat auf der Verbindung selbst.",
		},
		Noncompliant: {
			"conflict": "Die Geräteverwaltung meldet für dieses Gerät Regeln, die sich widersprechen.",
			"error":    "Die Geräteverwaltung konnte ihre Regeln auf dieses Gerät nicht anwenden.",
		},
		FactUnknown: {
			"managed":             "Wir konnten nicht feststellen, ob Ihre Firma dieses Gerät verwaltet.",
			"compliance":          "Wir konnten nicht feststellen, ob dieses Gerät die Regeln Ihrer Firma erfüllt.",
			"not_evaluated":       "Die Geräteverwaltung hat dieses Gerät noch nicht geprüft.",
			"delegated_configmgr": "Über dieses Gerät entscheidet der Configuration Manager, und er hat nichts gemeldet.",
			"enabled":             "Wir konnten nicht feststellen, ob dieses Gerät aktiviert ist.",
			"lifecycle":           "Wir konnten nicht feststellen, ob dieses Gerät in Betrieb ist.",
			"encrypted":           "Wir konnten nicht feststellen, ob dieses Gerät verschlüsselt ist.",
			"updated":             "Wir konnten nicht feststellen, ob dieses Gerät auf dem neuesten Stand ist.",
			"jailbroken":          "Wir konnten nicht feststellen, ob der Schutz des Betriebssystems intakt ist.",
			"malware":             "Wir konnten nicht feststellen, ob auf diesem Gerät Schadsoftware aktiv ist.",
			"risk":                "Wir konnten nicht feststellen, wie stark dieses Gerät bedroht ist.",
			"os":                  "Wir konnten nicht feststellen, welche Version des Betriebssystems auf diesem Gerät läuft.",
			"trust":               "Wir konnten nicht feststellen, ob dieses Gerät in das Firmenverzeichnis eingebunden ist.",
			"ownership":           "Wir konnten nicht feststellen, ob dieses Gerät Ihrer Firma gehört.",
			"owner":               "Wir konnten nicht feststellen, wem dieses Gerät gehört.",
			"checked_in":          "Wir konnten nicht feststellen, wann sich dieses Gerät zuletzt bei der Geräteverwaltung gemeldet hat.",
			"secure_boot":         "Wir konnten nicht feststellen, ob der sichere Start eingeschaltet ist.",
			"supervised":          "Wir konnten nicht feststellen, ob dieses Gerät betreut wird.",
			"antivirus":           "Wir konnten nicht feststellen, ob der Virenschutz eingeschaltet ist.",
			"firewall":            "Wir konnten nicht feststellen, ob die Firewall eingeschaltet ist.",
			"apps":                "Wir konnten nicht feststellen, ob die Apps auf diesem Gerät erlaubt sind.",
			"sensor":              "Wir konnten nicht feststellen, ob der Bedrohungssensor dieses Geräts arbeitet.",
			"exposure":            "Wir konnten nicht feststellen, wie angreifbar dieses Gerät ist.",
			"user_enabled":        "Wir konnten nicht feststellen, ob Ihr Konto aktiviert ist.",
			"user_risk":           "Wir konnten nicht feststellen, ob Ihr Konto sicher ist.",
		},
		NotLoaded:       {groupsParam: "Ihr Konto ist in sehr vielen Gruppen. Wir fragen noch, in welchen."},
		VerdictExpired:  {groupsParam: "Was wir über die Gruppen Ihres Kontos wissen, ist zu alt, um darauf zu bauen."},
		SourceFailing:   {groupsParam: "Ihr Konto ist in sehr vielen Gruppen, und der Dienst, der sie kennt, antwortet nicht."},
		SourceThrottled: {groupsParam: "Ihr Konto ist in sehr vielen Gruppen, und der Dienst, der sie kennt, ist ausgelastet."},
		LookupTimeout:   {groupsParam: "Ihr Konto ist in sehr vielen Gruppen, und der Dienst, der sie kennt, hat zu lange gebraucht."},
	},
	topics: [numTopics]phrase{
		topicEncryption: {"Verschlüsselung", "", deEncrypt},
		topicUpdate:     {"Version des Betriebssystems", "", deUpdate},
		topicFirewall: {"Firewall", "", steps{
			"Schalten Sie in den Einstellungen des Geräts die Firewall ein.",
			Windows: "Öffnen Sie Windows-Sicherheit > Firewall- & Netzwerkschutz und schalten Sie die Firewall für jedes Netz ein.",
			MacOS:   "Öffnen Sie Systemeinstellungen > Netzwerk > Firewall und schalten Sie sie ein.",
			Linux:   "Schalten Sie die Firewall ein (zum Beispiel: sudo ufw enable).",
		}},
		topicPassword: {"Kennwort oder PIN", "", steps{
			"Setzen Sie ein Kennwort oder eine PIN, die den Regeln Ihrer Firma entspricht.",
			Windows: "Öffnen Sie Einstellungen > Konten > Anmeldeoptionen und setzen Sie ein Kennwort oder eine PIN nach den Regeln.",
			MacOS:   "Öffnen Sie Systemeinstellungen > Benutzer & Gruppen und ändern Sie Ihr Passwort.",
			IOS:     "Öffnen Sie Einstellungen > Face ID & Code (oder Touch ID & Code) und setzen Sie einen längeren Code.",
			Android: "Öffnen Sie Einstellungen > Sicherheit > Displaysperre und setzen Sie eine längere PIN oder ein Passwort.",
		}},
		topicAntivirus: {"Virenschutz", "", steps{
			"Schalten Sie den Virenschutz ein und installieren Sie seine Updates.",
			Windows: "Öffnen Sie Windows-Sicherheit > Viren- & Bedrohungsschutz, schalten Sie den Echtzeitschutz ein und suchen Sie nach Updates.",
			MacOS:   "Öffnen Sie Microsoft Defender und schalten Sie den Echtzeitschutz ein.",
		}},
		topicBoot: {"Schutz beim Start", "", steps{
			"Starten Sie das Gerät neu. Wenn das nicht hilft, muss die IT die Starteinstellungen prüfen.",
			MacOS: "Wenden Sie sich an die IT: Der Systemschutz muss im Wiederherstellungsmodus eingeschaltet werden.",
		}},
		topicJailbreak: {"Verändertes Betriebssystem", "", deUnroot},
		topicThreat:    {"Gefundene Bedrohungen", "", deScan},
		topicContact:   {"Kontakt zur Geräteverwaltung", "", deCheckStatus},
		topicAssigned:  {"Diesem Gerät sind keine Regeln zugewiesen", "", deAskIT},
		topicConfigMgr: {"Configuration Manager", "", steps{"Öffnen Sie Softwarecenter > Gerätekonformität und wählen Sie „Konformität prüfen“."}},
	},
}
