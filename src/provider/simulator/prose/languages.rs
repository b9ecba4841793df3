//! The phrasebooks of other languages, and signs that are hard to cut.

/// A language the simulator writes.
pub(super) struct Language {
    /// As it calls itself.
    pub(super) name: &'static str,
    pub(super) flag: &'static str,
    /// Whether there are spaces between words.
    pub(super) spaced: bool,
    /// Whether a letter is of its script alone; never for those that share the Latin one.
    pub(super) script: fn(char) -> bool,
    pub(super) sentences: &'static [&'static str],
}

/// Joined families, skin tones, flags, keycaps, combining marks.
pub(super) const SIGNS: [&str; 3] = [
    "👨‍👩‍👧‍👦 {🇯🇵|🇧🇷} 🏳️‍🌈 1️⃣ 2️⃣ 3️⃣ — cafe\u{301}, A\u{30a}ngstro\u{308}m, ใส่ใจ, ❤️‍🔥 *fin*",
    "🧑🏿‍🚀👩🏻‍🔬👨🏽‍🍳 {🇮🇳|🇪🇺} 🏴󠁧󠁢󠁳󠁣󠁴󠁿 — re\u{301}sume\u{301}, n\u{303}, ก็ดี, 👩‍❤️‍👨 *fin*",
    "🫱🏼‍🫲🏿 {🇪🇸|🇰🇷} 👁️‍🗨️ #️⃣ — Z\u{30c}iz\u{30c}ek, voila\u{300}, e\u{301}, 🤷🏾‍♀️ *fin*",
];

fn latin(_: char) -> bool {
    false
}

pub(super) const LANGUAGES: [Language; 9] = [
    Language {
        name: "English",
        flag: "🇬🇧",
        spaced: true,
        script: latin,
        sentences: &[
            "Every {word|token} has {a number|its place}, and {none|not one} is {said|sent} twice.",
            "Whoever {leaves|drops} comes back {where they were|at the same word}.",
            "The {river|stream} goes on; the {log|gauge} {remembers|keeps count}.",
            "{Silence|A pause} is not an end. ⏳",
        ],
    },
    Language {
        name: "Deutsch",
        flag: "🇩🇪",
        spaced: true,
        script: latin,
        sentences: &[
            "Jedes Wort {bekommt|erhält} eine Nummer, {bevor|ehe} es {jemand liest|auf die Reise geht}.",
            "Wer im {Tunnel|Aufzug|Funkloch} verschwindet, {kommt zurück|taucht wieder auf} und liest {genau dort|mitten im Satz} weiter.",
            "Der {Strom|Fluss} fließt, das {Logbuch|Gedächtnis} bleibt.",
            "{Schweigen|Stille} ist {kein Ende|nie ein Erfolg}; das Ende wird {ausgesprochen|aufgeschrieben}.",
            "Zwei Bildschirme zeigen {denselben Satz|dasselbe}, {weil|denn} es {gibt nur einen|nur einen gibt}. 🖥️🖥️",
            "Die Donaudampfschifffahrtsgesellschaft {wartet|grüßt} {gelassen|höflich} auf {langsame|verspätete} Leser. ⛴️",
            "{Nichts fehlt|Nichts geht verloren}, nichts {kommt doppelt|steht zweimal da}.",
        ],
    },
    Language {
        name: "Español",
        flag: "🇪🇸",
        spaced: true,
        script: latin,
        sentences: &[
            "Cada palabra {lleva|tiene} su número {antes de salir|desde el principio}.",
            "¿Se {cortó|perdió} la conexión? {No pasa nada|Tranquilo}: {volvemos|seguimos} {en la misma línea|donde lo dejamos}.",
            "El río {sigue|no se detiene}, pero el diario {lo recuerda todo|guarda cada gota}. 🌊",
            "¡{Nada se pierde|Nada falta} y nada {se repite|llega dos veces}!",
            "La niña {cerró|apagó} el portátil, y la historia {continuó|siguió} {sola|sin prisa}.",
            "Un lector lento no {molesta|retrasa} a nadie; {mañana|luego} {alcanzará|encontrará} a los demás. 🐢",
        ],
    },
    Language {
        name: "Français",
        flag: "🇫🇷",
        spaced: true,
        script: latin,
        sentences: &[
            "Chaque mot {porte|reçoit} un numéro {avant de partir|dès sa naissance}.",
            "Le train {entre dans|traverse} le tunnel ; {le téléphone se tait|plus de réseau} ; puis la phrase {reprend|continue}, {à la virgule près|exactement là}.",
            "Rien {ne se perd|ne manque}, rien {ne se répète|n'arrive deux fois}.",
            "« {Après 217|La suite}, s'il vous plaît », {dit|demande} le lecteur {revenu|retrouvé}. 🥐",
            "Le fleuve {passe|s'en va}, le registre {demeure|reste}.",
            "L'œuvre {s'achève|finit} quand elle le **dit**, {jamais|et non} par {le silence|oubli}.",
        ],
    },
    Language {
        name: "日本語",
        flag: "🇯🇵",
        spaced: false,
        script: |char| matches!(char, '\u{3040}'..='\u{30ff}'),
        sentences: &[
            "言葉には一つずつ番号が{あります|付いています}。",
            "電車が{トンネル|地下}に入ると、電話は黙ります。でも、{文章|物語}は続いています。",
            "戻ってきたら、「{二百十七番まで読みました|続きからお願いします}」と言うだけで{大丈夫|十分}です。",
            "{何も失われず|一文字も欠けず}、何も繰り返されません。✨",
            "川は流れ、{記録|日誌}は残ります。🌊",
            "{ゆっくり|のんびり}読む人がいても、{誰も困りません|書き手は待ちません}。🍵",
            "沈黙は終わりではありません。終わりは{言葉|印}で{告げられます|記されます}。",
        ],
    },
    Language {
        name: "中文",
        flag: "🇨🇳",
        spaced: false,
        script: |char| matches!(char, '你' | '们' | '这' | '请' | '吗' | '写'),
        sentences: &[
            "每个词都有{自己的编号|一个位置}，{一个不少|不多不少}。",
            "列车{进了|穿过}隧道，手机{安静了|没有信号}，{句子|故事}却还在继续。",
            "回来时只需要说：“{我读到第二百一十七个|请从下一个开始}。”",
            "河水{向前|流走}，{日志|刻度}留下。🌊",
            "读得慢{没关系|也可以}，{谁也不会等你|谁也不会受影响}，你{总会赶上|终会到达}。🐢",
            "沉默不是结束，结束是要**说出来**的。",
        ],
    },
    Language {
        name: "한국어",
        flag: "🇰🇷",
        spaced: true,
        script: |char| matches!(char, '\u{ac00}'..='\u{d7af}'),
        sentences: &[
            "모든 단어에는 {번호가|자리가} 있습니다.",
            "{기차가|전철이} 터널에 들어가도 {이야기는|문장은} {계속됩니다|멈추지 않습니다}.",
            "돌아오면 {마지막으로 본 곳|읽던 자리}부터 {다시|이어서} 읽습니다. 📱",
            "{아무것도|한 글자도} 잃지 않고, {아무것도|한 글자도} 두 번 {보지|읽지} 않습니다.",
            "강물은 흐르고 기록은 남습니다. 🌊",
        ],
    },
    Language {
        name: "العربية",
        flag: "🇪🇬",
        spaced: true,
        script: |char| matches!(char, '\u{0600}'..='\u{06ff}'),
        sentences: &[
            "لكل كلمة {رقم|مكان}، ولا كلمة {تضيع|تتكرر}.",
            "يدخل القطار النفق {فيصمت|ويسكت} الهاتف، لكن {القصة|الجملة} {تستمر|لا تتوقف}.",
            "ومن يعود يقول: «{قرأت حتى ٢١٧|أكملوا من فضلكم}»، {فيأتيه|فيصله} ما بعده. 📖",
            "النهر يجري {والسجل|والدفتر} يبقى. 🌊",
            "القارئُ البطيءُ لا {يُعطِّلُ|يُؤخِّرُ} أحدًا. 🐢",
            "الصمت ليس {نهاية|نجاحًا}؛ النهاية {تُقال|تُكتب}، مثل `finished` أو `failed`.",
        ],
    },
    Language {
        name: "हिन्दी",
        flag: "🇮🇳",
        spaced: true,
        script: |char| matches!(char, '\u{0900}'..='\u{097f}'),
        sentences: &[
            "हर शब्द {का एक क्रमांक|की एक जगह} है।",
            "ट्रेन सुरंग में {जाती|घुसती} है, फ़ोन {चुप|शांत} हो जाता है, पर कहानी {चलती रहती|रुकती नहीं} है।",
            "लौटकर बस इतना कहिए: “मैंने २१७ तक {पढ़ा|देखा} है”, और {आगे का|बाकी} पाठ {आ जाएगा|मिल जाएगा}। 📖",
            "न कुछ {खोता|छूटता} है, न कुछ {दोहराया|दो बार दिखाया} जाता है।",
            "नदी {बहती|आगे बढ़ती} है, बही {याद रखती|बनी रहती} है। 🌊",
            "धीमे पाठक से किसी को {कष्ट|देर} नहीं होती। 🐢",
        ],
    },
];
