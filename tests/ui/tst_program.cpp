// The program as it is started: arguments, refusals, and the time to the first picture.
#include <QFile>
#include <QProcess>
#include <QRegularExpression>
#include <QTemporaryDir>
#include <QTest>

class TestProgram : public QObject {
  Q_OBJECT

  struct Outcome {
    int code = -1;
    QString out;
    QString err;
  };
  QTemporaryDir m_home;

  // A program with settings of its own; `display` false: no way to open a window.
  QProcessEnvironment environment(bool display) const {
    QProcessEnvironment e = QProcessEnvironment::systemEnvironment();
    e.insert(QStringLiteral("HOME"), m_home.path());
    e.insert(QStringLiteral("XDG_CONFIG_HOME"), m_home.path());
    e.remove(QStringLiteral("QT_QPA_PLATFORM"));
    for (const char* name : {"DISPLAY", "WAYLAND_DISPLAY"}) e.remove(QString::fromLatin1(name));
    if (display) e.insert(QStringLiteral("QT_QPA_PLATFORM"), QStringLiteral("offscreen"));
    return e;
  }
  Outcome run(const QStringList& arguments, bool display = true) const {
    QProcess process;
    process.setProcessEnvironment(environment(display));
    process.start(QStringLiteral(DHSA_EXPLORER), arguments);
    Outcome outcome;
    if (!process.waitForFinished(60000)) {
      process.kill();
      process.waitForFinished();
      return outcome;
    }
    outcome.code = process.exitStatus() == QProcess::NormalExit ? process.exitCode() : -1;
    outcome.out = QString::fromUtf8(process.readAllStandardOutput());
    outcome.err = QString::fromUtf8(process.readAllStandardError());
    return outcome;
  }

 private Q_SLOTS:
  void helpAndVersion() {
    const Outcome help = run({QStringLiteral("--help")}, false);
    QCOMPARE(help.code, 0);
    for (const char* option : {"--model", "--session", "--fresh", "TEXT"})
      QVERIFY2(help.out.contains(QString::fromLatin1(option)), option);
    const Outcome version = run({QStringLiteral("--version")}, false);
    QCOMPARE(version.code, 0);
    QVERIFY(!version.out.trimmed().isEmpty());
  }

  void badArgumentsAreRefusedInOneSentence_data() {
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<QString>("named");
    const auto text = [](const char* word) { return QString::fromLatin1(word); };
    QTest::newRow("no such text") << QStringList{text("/nowhere/a.txt")} << text("/nowhere/a.txt");
    QTest::newRow("no such model") << QStringList{text("--model"), text("/nowhere/m")} << text("/nowhere/m");
    QTest::newRow("no such session") << QStringList{text("--session"), text("/nowhere/s")} << text("/nowhere/s");
    QTest::newRow("two texts") << QStringList{text("/etc/passwd"), text("/etc/hosts")} << text("several");
    QTest::newRow("unknown option") << QStringList{text("--colour")} << text("colour");
  }
  void badArgumentsAreRefusedInOneSentence() {
    QFETCH(const QStringList, arguments);
    QFETCH(const QString, named);
    const Outcome outcome = run(arguments);
    QCOMPARE(outcome.code, 2);
    QVERIFY2(outcome.err.contains(named), qPrintable(outcome.err));
    const QStringList lines = outcome.err.trimmed().split(u'\n').filter(QStringLiteral("dhsa-explorer:"));
    QCOMPARE(lines.size(), 1);
  }

  void withoutADisplayItSaysWhatToDo() {
    const Outcome outcome = run({}, false);
    QCOMPARE(outcome.code, 2);
    QVERIFY2(outcome.err.contains(QStringLiteral("dhsa run")), qPrintable(outcome.err));
  }

  void theFirstPictureComesSoon() {
    QProcess process;
    QProcessEnvironment e = environment(true);
    e.insert(QStringLiteral("QT_LOGGING_RULES"), QStringLiteral("dhsa.start=true"));
    process.setProcessEnvironment(e);
    process.setProcessChannelMode(QProcess::MergedChannels);
    process.start(QStringLiteral(DHSA_EXPLORER), {QStringLiteral("--fresh")});
    QVERIFY(process.waitForStarted());
    static const QRegularExpression figure(QStringLiteral("first picture (\\d+) ms"));
    QString output;
    QTRY_VERIFY_WITH_TIMEOUT((output += QString::fromUtf8(process.readAll()), figure.match(output).hasMatch()), 60000);
    qInfo("first picture of a layer %s ms after the start of the process",
          qPrintable(figure.match(output).captured(1)));
    process.terminate();
    if (!process.waitForFinished(10000)) process.kill();
    process.waitForFinished();
  }
};

QTEST_GUILESS_MAIN(TestProgram)
#include "tst_program.moc"
