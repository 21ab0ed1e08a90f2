#!/bin/sh
# Makes /var/lang and /var/runtime/lib in a root of nothing but Debian packages:
# a Java of what functions use, the runtime, and an archive of the classes that a
# start loads. Alike in every build.
set -eu
export PATH=/usr/bin:/bin LC_ALL=C.UTF-8 TZ=UTC
jdk=/usr/lib/jvm/java-21-openjdk-amd64/bin
recipe=/recipe lib=/var/runtime/lib classes=/tmp/classes

mkdir -p "$lib" "$classes"
modules=$(sed -e 's/#.*//' -e '/^ *$/d' "$recipe/modules" | tr '\n' ,)
"$jdk/jlink" --add-modules "${modules%,}" --no-header-files --no-man-pages --output /var/lang
# All modules, as Debian has linked them: what jlink makes of them has sets in it, whose
# order is chance.
cp "$jdk/../lib/modules" /var/lang/lib/modules

for name in annotations core databind datatype-jdk8 datatype-jsr310; do
    cp -L "/usr/share/java/jackson-$name.jar" "$lib/"
done
find "$recipe/src" -name '*.java' | sort > /tmp/sources
# Texts joined by plain calls: the other way has Java write code at every start.
"$jdk/javac" --release 21 -XDstringConcat=inline -Xlint:all -Werror -encoding UTF-8 -d "$classes" \
    -classpath "$lib/*" @/tmp/sources
(cd "$classes" && find . -name '*.class' | sort | sed 's:^\./::' > /tmp/files)
(cd "$classes" && "$jdk/jar" --create --file "$lib/hearth.jar" --manifest "$recipe/manifest" \
    --no-compress --date 1980-01-01T00:00:02Z @/tmp/files)

# The archive of classes names what it was made of by size and time; in the image
# every time is the epoch.
find /var/lang "$lib" -exec touch -h -d @0 {} +
HEARTH_PREPARE=rehearsal /var/lang/bin/java -Xshare:off -XX:Flags="$recipe/flags" \
    -Djdk.reflect.useDirectMethodHandle=false \
    -XX:DumpLoadedClassList=/tmp/loaded -jar "$lib/hearth.jar"
# Threads race for who loads first, so the order is not kept; proxies are made anew
# in every run, and cannot be archived.
sed -e '/\$Proxy/d' -e '/ source: /d' -e 's/ id: .*//' -e '/^#/d' /tmp/loaded | sort -u > /tmp/classlist
# Only this collector archives objects too, the modules' graph among them; any reads it.
/var/lang/bin/java -XX:+UseG1GC -Xshare:dump \
    -XX:SharedClassListFile=/tmp/classlist -XX:SharedArchiveFile="$lib/hearth.jsa" -jar "$lib/hearth.jar"
touch -d @0 "$lib/hearth.jsa"
